"""Work on the bytes of a whole Arrow string column at once: what would cost a Python call or a regex per text."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Bytes = npt.NDArray[np.uint8]
Offsets = npt.NDArray[np.int64]

_RANDOM = np.random.default_rng(20240801)
_LETTERS = _RANDOM.integers(1, 2**63, 256, dtype=np.uint64)
_STEP = np.uint64(0x9E3779B97F4A7C15)


def buffers(texts: pa.Array) -> tuple[Bytes, Offsets]:
    """The bytes of all texts end to end, and where each begins (one more entry than texts). No nulls allowed."""
    _, offset_buffer, data_buffer = texts.buffers()
    offsets = np.frombuffer(offset_buffer, dtype=np.int32, count=texts.offset + len(texts) + 1)[texts.offset :]
    data = np.frombuffer(data_buffer, dtype=np.uint8) if data_buffer is not None else np.empty(0, dtype=np.uint8)
    return data[offsets[0] : offsets[-1]], (offsets - offsets[0]).astype(np.int64)


def hashes(texts: pa.Array) -> npt.NDArray[np.uint64]:
    """A 64-bit hash per text (no nulls): every byte's random number times a power of its place, summed."""
    data, offsets = buffers(texts)
    lengths = np.diff(offsets)
    powers = np.cumprod(np.full(int(lengths.max(initial=0)) + 1, _STEP, dtype=np.uint64))
    place = np.arange(len(data)) - np.repeat(offsets[:-1], lengths)
    total = np.concatenate([[np.uint64(0)], np.cumsum(_LETTERS[data] * powers[place], dtype=np.uint64)])
    mixed = total[offsets[1:]] - total[offsets[:-1]] + lengths.astype(np.uint64)
    mixed ^= mixed >> np.uint64(29)
    return np.asarray(mixed * _STEP)


def plain_numbers(texts: pa.Array, mark: str) -> tuple[pa.Array, npt.NDArray[np.bool_]]:
    """Texts with a point for the decimal ``mark``, and which of them are plain: digits, at most one mark, no zeros ahead.

    A text that is not plain may still be a number: that is for slower code to say.
    """
    data, offsets = buffers(texts)
    size = len(texts)
    plain = np.zeros(size, dtype=np.bool_)
    if len(data):
        digit = (data >= ord("0")) & (data <= ord("9"))
        is_mark = data == ord(mark)
        begin, end = offsets[:-1], offsets[1:]
        first, last = np.minimum(begin, len(data) - 1), np.maximum(end - 1, 0)
        second = np.minimum(begin + 1, len(data) - 1)
        length = end - begin
        zero_ahead = (data[first] == ord("0")) & (length > 1) & ~is_mark[second]
        plain = (length > 0) & digit[first] & digit[last] & ~zero_ahead
        plain &= _per_text(~(digit | is_mark), offsets) == 0
        plain &= _per_text(is_mark, offsets) <= 1
    translated = data.tobytes().replace(mark.encode(), b".")
    return pa.StringArray.from_buffers(size, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(translated)), plain


def _per_text(flags: npt.NDArray[np.bool_], offsets: Offsets) -> npt.NDArray[np.int64]:
    counts = np.concatenate([[0], np.cumsum(flags)])
    return np.asarray(counts[offsets[1:]] - counts[offsets[:-1]])
