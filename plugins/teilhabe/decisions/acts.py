"""What a person does to a delivery, at the desk or on the command line, is about a delivery there is, and has a reason."""

from __future__ import annotations

from teilhabe import ops
from teilhabe.errors import TeilhabeError

REASON_CHARACTERS = 1000


def subject(conn: ops.Connection, delivery_id: int) -> ops.Delivery:
    """The delivery, locked for the transaction of the caller; ``TeilhabeError`` when there is none."""
    try:
        return ops.delivery(conn, delivery_id, lock=True)
    except LookupError:
        raise TeilhabeError(f"Eine Lieferung {delivery_id} gibt es nicht.") from None


def reasoned(reason: str, please: str) -> str:
    """The reason on one line; ``TeilhabeError`` says ``please`` when there is none, or that it is too long."""
    words = " ".join(reason.split())
    if not words:
        raise TeilhabeError(please)
    if len(words) > REASON_CHARACTERS:
        raise TeilhabeError(f"Die Begründung ist zu lang; bitte höchstens {REASON_CHARACTERS} Zeichen.")
    return words
