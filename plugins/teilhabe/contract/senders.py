"""Who sent a file, for datasets several municipalities deliver: told by the address, else by the file's place or name."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Collection, Iterable, Iterator
from email.utils import parseaddr
from typing import TYPE_CHECKING

from teilhabe.errors import Finding

if TYPE_CHECKING:
    from teilhabe.contract.model import Contract


PLACE = "{sender}"
"""Stands in a ``sender_pattern`` for the key of the municipality: ``{sender}/*`` or ``Meldung_{sender}_*.xlsx``."""


def sender_code(contract: Contract, address: str | None, server: str | None, *places: str) -> str | None:
    """The territory of the municipality that sent a file; None when nothing says so or the contract names no senders.

    The address decides; where it is nobody's, the ``sender_pattern`` of the server tells the key from one of ``places``
    (path at the source, file name, name within a container).
    """
    if not contract.senders:
        return None
    by_address = _known(contract, [bare_address(address)])
    if by_address is not None:
        return by_address
    pattern = next((one.sender_pattern for one in contract.servers if one.server == server), None)
    return _known(contract, _told_by_place(pattern, places)) if pattern and PLACE in pattern else None


def known_addresses(contract: Contract) -> frozenset[str]:
    """Who may send by mail where no ``sender_pattern`` says so: the office itself and the senders the contract names."""
    named = [contract.contact, *(sender.contact for sender in contract.senders)]
    return frozenset(bare_address(address) for address in named if address)


def sender_by_content(contract: Contract, territories: Collection[str | None]) -> str | None:
    """Where nothing else tells the sender, a file about exactly one of the senders' territories does."""
    own = next(iter(territories)) if len(territories) == 1 else None
    return own if own in {sender.territory_code for sender in contract.senders} else None


def unknown_sender(contract: Contract, address: str | None) -> Finding | None:
    """A warning when an address is none of the contract's; the coordination board and the office itself are known."""
    bare = bare_address(address)
    if not contract.senders or not bare or bare == contract.contact.casefold() or _known(contract, [bare]):
        return None
    known = ", ".join(sorted(sender.contact for sender in contract.senders if sender.contact))
    return Finding(
        "warning",
        "sender.unknown",
        "",
        found=bare,
        expected=known,
        what="Der Absender „{found}“ ist für diese Lieferung nicht vereinbart; erwartet wird eine der vereinbarten Adressen "
        "({expected}). Bitte die Adresse der Koordinierungsstelle melden.",
    )


def _known(contract: Contract, said: Iterable[str]) -> str | None:
    for text in said:
        for sender in contract.senders:
            if text and text in (sender.territory_code, (sender.contact or "").casefold()):
                return sender.territory_code
    return None


def bare_address(address: str | None) -> str:
    """``Amt 50 <Amt50@Gemeinde.example>`` is ``amt50@gemeinde.example``."""
    text = (address or "").strip()
    return (parseaddr(text)[1] or text).casefold()


def _told_by_place(pattern: str, places: Iterable[str]) -> Iterator[str]:
    before, _, after = pattern.partition(PLACE)
    expression = f"{_glob(before)}([0-9]+){_glob(after)}"
    for place in places:
        for text in (place, place.rsplit("/", 1)[-1]):
            if found := re.fullmatch(expression, text):
                yield found[1]


def _glob(text: str) -> str:
    return fnmatch.translate(text).removeprefix("(?s:").rpartition(")")[0]
