"""Ways that are closed unless a connection names the host: unencrypted ones, and from the outside into the own network."""

from __future__ import annotations

import ipaddress
import re
import socket

from teilhabe.errors import ContractError, SourceError
from teilhabe.landing.base import Credentials

PLAIN_TEXT = "plain_text_hosts"
"""Key of a connection's ``extra``: hosts to which it may speak unencrypted."""
REDIRECT = "redirect_hosts"
"""Key of a connection's ``extra``: hosts of the own network to which a web address may redirect."""


def may_be_plain(credentials: Credentials, host: str) -> bool:
    """Whether unencrypted bytes may go to ``host``: named in the connection, or this machine itself."""
    return _named(credentials, PLAIN_TEXT, host) or _is_this_machine(host)


def refuse_private(credentials: Credentials, host: str, where: str) -> None:
    """A redirect must not lead to what only the own network can reach, unless the connection names the host."""
    if _named(credentials, REDIRECT, host):
        return
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError) as error:
        raise SourceError(f"{where}: redirects to {host}, which has no address.") from error
    if not all(_is_public(address) for address in found):
        raise ContractError(
            f"{where}: redirects to {host} in the own network; where that is meant, name it as {REDIRECT} in the connection."
        )


def _named(credentials: Credentials, key: str, host: str) -> bool:
    said = credentials.extra.get(key)
    names = re.split(r"[\s,]+", said) if isinstance(said, str) else said if isinstance(said, list | tuple) else ()
    return host.casefold().strip("[]") in {str(name).casefold() for name in names if name}


def _is_this_machine(host: str) -> bool:
    bare = host.casefold().strip("[]")
    try:
        return bare == "localhost" or ipaddress.ip_address(bare).is_loopback
    except ValueError:
        return False


def _is_public(address: str) -> bool:
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo and found.teredo[1])
        if inner:
            return inner.is_global and not inner.is_multicast
        if found in _TRANSLATED:
            return _is_public(str(ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)))
    return found.is_global and not found.is_multicast


_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")
"""An address of IPv4 within one of IPv6 (RFC 6052)."""
