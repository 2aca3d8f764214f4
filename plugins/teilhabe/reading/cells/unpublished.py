"""When the dash of a table means that there is no number, although it usually means zero.

GENESIS writes ``-`` into every cell of a county it does not publish: one that was dissolved long ago, a town district, a
table that ends above municipalities. Beside a number a dash is that number's zero.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from teilhabe.columns.coded import coded, codes
from teilhabe.reading.cells.symbols import Converted

Groups = npt.NDArray[np.int64]


def values(converted: Converted, territories: pa.Array, periods: pa.Array, rates: pa.Array | None) -> pa.Table:
    """``value`` and ``obs_status`` under ``dash: missing_when_all``.

    A dash is no number where the territory has none at all in this period, secret and unknown ones aside; and a rate is
    never zero by a dash: where it cannot be computed (``rates`` marks these cells) offices write one, too.
    """
    value, obs = converted.value, converted.obs_status
    if pc.any(converted.dash).as_py():
        silent = pc.or_(converted.dash, pc.is_null(value))
        gone = pc.and_(converted.dash, pa.array(holds_for_all(silent, groups(territories, periods))))
        if rates is not None:
            gone = pc.or_(gone, pc.and_(converted.dash, rates))
        value = pc.if_else(gone, None, value)
        obs = pc.if_else(gone, "M", obs)
    return pa.table({"value": value, "obs_status": obs})


def holds_for_all(mask: pa.Array, group: Groups) -> npt.NDArray[np.bool_]:
    """Per cell: does ``mask`` hold for every cell of its group?"""
    others = np.bincount(group, weights=~mask.to_numpy(zero_copy_only=False))
    return np.asarray((others == 0)[group])


def groups(left: pa.Array, right: pa.Array) -> Groups:
    """A number per distinct pair."""
    one, two = coded(left), coded(right)  # a key or a period that cannot be read is one like any other
    pair = codes(one).astype(np.int64) * (len(two.dictionary) + 1) + codes(two)
    return np.asarray(np.unique(pair, return_inverse=True)[1])
