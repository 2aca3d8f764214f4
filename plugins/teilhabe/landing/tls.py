"""Whom to trust: the machine's certificate authorities, or the one an office runs for itself."""

from __future__ import annotations

import ssl

from teilhabe.errors import ContractError
from teilhabe.landing.base import Credentials


def tls_context(credentials: Credentials, where: str) -> ssl.SSLContext:
    """``extra``: ``ca_certificates`` (PEM text) or ``ca_file`` replace the machine's authorities. Never unchecked."""
    pem, file = credentials.extra.get("ca_certificates"), credentials.extra.get("ca_file")
    try:
        return ssl.create_default_context(cafile=file or None, cadata=pem or None)
    except (OSError, ValueError, ssl.SSLError) as error:
        raise ContractError(f"{where}: the certificate authority of the connection cannot be read.") from error


def is_untrusted(error: BaseException | None) -> bool:
    """Whether a certificate was refused: that is the contract's business, no retry helps."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False
