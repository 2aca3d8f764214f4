"""What the logs of tasks may say: they have more readers than the desk, which hides names of files and what is in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar

from teilhabe.errors import ReadingError, TeilhabeError

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

_NO_NAME = "[file]"


def name_no_file(error: TeilhabeError, *names: str | None) -> None:
    """Keep a text of the error in which the names of the file do not stand."""
    text = str(error)
    known = {part for name in names if name for part in (name, name.rsplit("/", 1)[-1])}
    for name in sorted(known, key=len, reverse=True):
        text = text.replace(name, _NO_NAME)
    error.bare = text


def in_logs(error: BaseException) -> str:
    """What may be said of an error: our own words without the name of a file, of all others only the kind."""
    if isinstance(error, ReadingError):
        return error.finding.rule
    if isinstance(error, TeilhabeError):
        return error.bare or str(error)
    return type(error).__name__


@contextmanager
def discreet(*ours: type[BaseException]) -> Iterator[None]:
    """Errors leave this block as what they are, with their traceback, but without words that may be a file's.

    ``ours``: exceptions that only end a task, in words of our own.
    """
    try:
        yield
    except ours:
        raise
    except Exception as error:
        raise _without_words(error).with_traceback(error.__traceback__) from None


def discreetly(*ours: type[BaseException]) -> Callable[[Callable[Arguments, Result]], Callable[Arguments, Result]]:
    """``discreet`` for a whole function."""

    def around(work: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
        @wraps(work)
        def inside(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
            with discreet(*ours):
                return work(*args, **kwargs)

        return inside

    return around


def _without_words(error: Exception) -> Exception:
    """An error of the same kind, for by its kind it is tried again or not; ``in_full`` keeps our own words for the operators."""
    kind = type(error)
    try:
        bare = kind.__new__(kind)
        bare.args = (in_logs(error),)
    except TypeError:  # a kind that cannot be made without its parts
        return RuntimeError(in_logs(error))
    if isinstance(error, TeilhabeError) and isinstance(bare, TeilhabeError):
        bare.in_full = error.in_full or str(error)
    return bare
