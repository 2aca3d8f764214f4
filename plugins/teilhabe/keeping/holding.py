"""Which backups still hold what is erased."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg

from teilhabe.landing import Archive


def holding(conn: psycopg.Connection[Any], sha256: str, since: datetime) -> list[str]:
    """Backups taken after ``since`` that still hold these bytes or what was made of them, a German phrase for each place."""
    rows = conn.execute(
        "select place, array_agg(set_name order by set_name) from ops.backup where taken_at >= %s group by 1 order by 1",
        (since,),
    ).fetchall()
    found = []
    for place, names in rows:
        folder = Path(place)
        if not folder.is_dir():
            found.append(f"{place} (von hier nicht zu erreichen; {len(names)} verzeichnet, zuletzt {names[-1]})")
            continue
        there = [name for name in names if (folder / "sets" / name).is_dir()]
        in_mirror = Archive((folder / "archive").as_uri()).size(sha256) is not None
        if there or in_mirror:
            parts = [f"Sätze {', '.join(there)}"] if there else []
            found.append(f"{place} ({'; '.join([*parts, 'Archiv'] if in_mirror else parts)})")
    return found
