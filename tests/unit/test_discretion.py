"""What leaves a task for its log: the kind of an error and words of our own, never a name of a file or what is in it."""

from __future__ import annotations

import traceback

import psycopg
import pytest

from teilhabe.airflow.failures import tell_operators
from teilhabe.errors import ContractError, Finding, ReadingError, SourceError
from teilhabe.system.discretion import discreet, discreetly, in_logs, name_no_file


class Skip(Exception):
    """As Airflow's own."""


def about_a_file(kind: type[SourceError | ContractError]) -> Exception:
    error = kind("Anhang/Fatima_Yildiz.xlsx: the transfer broke off after 3 of 9 bytes.")
    name_no_file(error, "Anhang/Fatima_Yildiz.xlsx")
    return error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (about_a_file(SourceError), "[file]: the transfer broke off after 3 of 9 bytes."),
        (about_a_file(ContractError), "[file]: the transfer broke off after 3 of 9 bytes."),
        (SourceError("sftp://host: did not answer in time."), "sftp://host: did not answer in time."),
        (ReadingError(Finding("critical", "value.negative", "Fatima_Yildiz: -4")), "value.negative"),
        (ValueError("could not convert 'Fatima_Yildiz'"), "ValueError"),
        (KeyError("Fatima_Yildiz"), "KeyError"),
        (FileNotFoundError(2, "No such file", "/inbox/Fatima_Yildiz.xlsx"), "FileNotFoundError"),
        (UnicodeDecodeError("utf-8", b"Fatima_Yildiz", 0, 1, "invalid"), "UnicodeDecodeError"),
        (psycopg.OperationalError("row (Fatima_Yildiz)"), "OperationalError"),
    ],
)
def test_a_log_shows_the_kind_and_our_words_only(error: Exception, said: str) -> None:
    assert in_logs(error) == said
    with pytest.raises(Exception) as caught, discreet():
        try:
            raise ValueError("Fatima_Yildiz")
        except ValueError:
            raise error from OSError("Fatima_Yildiz")
    shown = "".join(traceback.format_exception(caught.value))
    assert "Yildiz" not in shown.replace('Fatima_Yildiz")', "")  # the lines of this test are code
    assert said in shown
    # By its kind it is tried again or not.
    assert type(caught.value) is type(error) or type(error) is UnicodeDecodeError


def test_what_ends_a_task_on_purpose_passes_as_it_is() -> None:
    @discreetly(Skip)
    def work() -> None:
        raise Skip("nothing waits")

    with pytest.raises(Skip, match="nothing waits"):
        work()


def test_operators_hear_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    with pytest.raises(SourceError) as caught, discreet():
        raise about_a_file(SourceError)

    class Instance:
        task_id, dag_id, run_id, try_number = "deliver", "deliver__x", "r", 1

    monkeypatch.setattr("teilhabe.airflow.runtime.alert", lambda subject, text, key: told.append(text))
    tell_operators({"ti": Instance(), "exception": caught.value})
    assert "Fatima_Yildiz.xlsx" in told[0]
