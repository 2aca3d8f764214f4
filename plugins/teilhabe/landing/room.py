"""Whether there is room for what comes, and one sentence when there is none: told by whoever meets it, by ``run`` and ``status``."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import psutil

from teilhabe import ops
from teilhabe.codes.office_time import spell_moment
from teilhabe.errors import FullError
from teilhabe.settings import Settings

SUBJECT, ALERT = "Speicherplatz voll", "full"
"""What the operators are told, and under which key: all datasets meet it within minutes, and it is one thing to mend."""

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_MARGIN = 1_000_000
"""What file systems and a process in between need besides the files themselves."""
_MB = 1_000_000


def refusal(error: BaseException, place: str) -> FullError | None:
    """The error to raise where the system refused to write to ``place`` for want of room; None where it was something else."""
    if isinstance(error, OSError) and error.errno in _FULL:
        return FullError(_sentence(f"{place}: {error.strerror}"))
    return None


def require(settings: Settings, sizes: Sequence[int | None]) -> None:
    """Refuse to begin where not even the smallest of these files has room.

    Raises:
        FullError: it says where, and how much is free.
    """
    needed = min((size or 0 for size in sizes), default=0) + _MARGIN
    for place in _places(settings):
        usage = psutil.disk_usage(str(place))
        if usage.free < needed:
            free, total = usage.free / _MB, usage.total / _MB
            raise FullError(_sentence(f"{place}: noch {free:,.0f} von {total:,.0f} MB frei".replace(",", ".")))


def standing(conn: ops.Connection) -> str | None:
    """A sentence while nothing is taken in for want of room: until a file is taken in again."""
    row = conn.execute(
        """
        select min(full_.finished_at) from ops.outcome as full_
        where full_.message = 'FullError' and full_.status = 'failed' and full_.finished_at > coalesce(
            (select max(o.finished_at) from ops.outcome as o where o.step = 'archive' and o.status <> 'failed'), '-infinity'
        )
        """
    ).fetchone()
    return _sentence(f"seit {spell_moment(row[0])}") if row and row[0] else None


def met_by(conn: ops.Connection, dataset_ids: Iterable[str], since: datetime) -> set[str]:
    """Datasets of which something could not be taken in since then for want of room."""
    rows = conn.execute(
        "select distinct dataset_id from ops.outcome where message = 'FullError' and status = 'failed'"
        " and finished_at >= %s and dataset_id = any(%s)",
        (since, list(dataset_ids)),
    )
    return {dataset_id for (dataset_id,) in rows}


def _places(settings: Settings) -> list[Path]:
    """Where delivered bytes are written; an object store has no end that could be asked for."""
    archive = settings.archive_url
    places = [settings.work]
    if archive.startswith("file://"):
        places.append(Path(url2pathname(urlsplit(archive).path)))
    elif "://" not in archive:
        places.append(Path(archive))
    return [next(folder for folder in (place, *place.parents) if folder.exists()) for place in places]


def _sentence(where: str) -> str:
    return (
        f"Der Speicherplatz ist voll ({where}). Es wird nichts mehr aufgenommen; verloren ist nichts: Was wartet, bleibt liegen "
        "und wird aufgenommen, sobald wieder Platz ist."
    )
