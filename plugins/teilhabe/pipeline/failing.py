"""An error that stops nothing behind it is noted, and raised at the end."""

from __future__ import annotations

import logging
from typing import Any

from teilhabe import ops
from teilhabe.contract.model import Contract
from teilhabe.errors import SourceError, TeilhabeError
from teilhabe.system.discretion import name_no_file

log = logging.getLogger(__name__)


def note_error(contract: Contract, delivery: ops.Delivery, error: Exception, errors: list[Exception]) -> None:
    """Only the type: the text of an unforeseen error may quote a file."""
    if isinstance(error, TeilhabeError):
        name_no_file(error, delivery.file_name)
    log.error("delivery %s of %s: %s", delivery.delivery_id, contract.dataset_id, type(error).__name__)
    errors.append(error)


def raise_first(errors: list[Any]) -> None:
    """A network error is worth another try of the whole step, so it goes before the others."""
    if errors:
        raise next((error for error in errors if isinstance(error, SourceError)), errors[0])
