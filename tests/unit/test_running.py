"""In which order ``teilhabe run`` begins what waits."""

from __future__ import annotations

import pytest

from teilhabe.airflow import running
from teilhabe.contract.parsing import load_contracts
from teilhabe.settings import Settings
from tests.conftest import PROJECT


def test_the_register_goes_first_and_then_what_has_most_files(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    contracts = load_contracts(PROJECT / "agencies")
    in_inbox = {"civic__volunteers": 2, "housing__accommodation": 5, "register__municipalities": 1}
    left_over = {"police__offences_district": 1, "civic__volunteers": 4}
    monkeypatch.setattr(running, "waiting_in_inbox", lambda _, name: in_inbox.get(name, 0))
    monkeypatch.setattr(running, "unfinished", lambda _, name: left_over.get(name, 0))
    assert running._batches(settings, contracts, include_remote=False) == [
        ["register__municipalities"],
        ["civic__volunteers", "housing__accommodation", "police__offences_district"],
    ]
