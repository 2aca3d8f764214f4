"""What the relations of a dataset are called in the database, and whether PostgreSQL can call them that.

It cuts names off at 63 bytes in silence: two datasets would share one table.
"""

from __future__ import annotations

from collections.abc import Iterable

LONGEST = 63
"""Bytes of a name in PostgreSQL."""

INDEX_SUFFIX = "_by_delivery"
"""What the index of a raw table is called behind the table's name."""


def relations(dataset_id: str) -> tuple[str, ...]:
    """Every relation that is made for a dataset."""
    return (dataset_id, f"{dataset_id}{INDEX_SUFFIX}", f"stg_{dataset_id}")


def too_long(names: Iterable[str]) -> str | None:
    """The longest of the names, where it is too long."""
    longest = max(names, key=lambda name: len(name.encode()), default="")
    return longest if len(longest.encode()) > LONGEST else None


def problem_of_id(dataset_id: str) -> str | None:
    """One sentence when a relation of the dataset would have a name that is too long."""
    name = too_long(relations(dataset_id))
    if name is None:
        return None
    room = LONGEST - max(len(one.encode()) for one in relations(""))
    return (
        f"'{dataset_id}' is too long by {len(dataset_id.encode()) - room} characters: '{name}' would be the name of a relation, "
        f"and the database allows {LONGEST} bytes. Agency and dataset may have {room} together, their '__' included."
    )
