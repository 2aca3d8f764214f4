"""Faults of single rows in files nobody will mend: these rows stay out, recorded and said, and the others are loaded."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from teilhabe import ops
from teilhabe.contract import lookup
from teilhabe.decisions import deciding
from teilhabe.errors import TeilhabeError
from teilhabe.explaining.excluded_rows import about_excluded_rows
from teilhabe.ops import incidents
from teilhabe.pipeline import taking_in
from teilhabe.raw import loading
from teilhabe.settings import Settings
from tests.flow import FOREIGNERS, PEINE, POPULATION, Flow, monitor, population

COUNTIES = {"Braunschweig, Stadt": "K03101", "Gifhorn": "K03151", "Peine": "K03157", "Wolfenbüttel": "K03158"}
GOOD = [(year, name, key, 1000 * n + year) for year in (2021, 2022) for n, (name, key) in enumerate(COUNTIES.items())]


@pytest.fixture(scope="module")
def house_flow(installed: Settings) -> Flow:
    return Flow(installed, installed.home / "drafts")


@pytest.fixture
def flow(house_flow: Flow) -> Flow:
    house_flow.empty()
    return house_flow


def with_row(at: int, *row: object) -> bytes:
    rows: list[tuple[object, ...]] = list(GOOD)
    rows[at] = row
    return monitor(rows)


def counts(flow: Flow, delivery: int) -> tuple[str, int | None, int]:
    with loading.session(flow.settings) as conn:
        found = ops.delivery(conn, delivery)
    return found.state, found.row_count, found.held_back_count


def excluded(flow: Flow, delivery: int) -> list[tuple[object, ...]]:
    return flow.ask(
        "select row_number, column_number, rule, reason, content ->> 'territory_name' from ops.excluded_row"
        " where delivery_id = %s order by position",
        delivery,
    )


def test_an_unreadable_key_keeps_its_row_out_and_no_other(flow: Flow) -> None:
    number = flow.deliver(FOREIGNERS, with_row(1, 2021, "Osterode", "#NV", 77))
    assert counts(flow, number) == ("loaded", 7, 1)
    assert excluded(flow, number) == [(3, 4, "key.invalid", "„#NV“ ist kein amtlicher Gebietsschlüssel", "Osterode")]
    [finding] = [f for f in flow.findings(number) if f.severity == "critical"]
    assert (finding.rule, finding.held_back, finding.row) == ("key.invalid", True, 3)
    assert [row for (row,) in flow.raw(FOREIGNERS, "_row_number")] == [2, 4, 5, 6, 7, 8, 9]


def test_one_number_of_a_wide_row_is_held_back_alone(flow: Flow) -> None:
    cells: dict[str, tuple[object, ...]] = {code: (100 * n, 50 * n, 50 * n) for n, code in enumerate(PEINE, start=1)}
    cells["03157005"] = (300, "ca. 150", 150)
    number = flow.deliver(POPULATION, population(cells))
    assert counts(flow, number) == ("loaded", 20, 1)
    assert [row[:3] for row in excluded(flow, number)] == [(10, 4, "value.not_a_number")]
    assert flow.raw(POPULATION, "sex", "value", "_column_number")[6:8] == [("total", "300", 3), ("female", "150", 5)]


def test_rows_that_contradict_each_other_are_all_held_back(flow: Flow) -> None:
    number = flow.deliver(FOREIGNERS, monitor([*GOOD, (2022, "Peine", "K03157", 1)]))
    assert counts(flow, number) == ("loaded", 7, 2)
    assert [(row, rule) for row, _, rule, *_ in excluded(flow, number)] == [
        (8, "row.duplicate_key"), (10, "row.duplicate_key"),
    ]  # fmt: skip
    assert ("03157", "2022-12-31") not in flow.raw(FOREIGNERS, "territory_code", "period_code")


def test_a_row_that_is_no_row_is_counted_among_all(flow: Flow) -> None:
    number = flow.deliver(FOREIGNERS, with_row(0, 2021, "Braunschweig, Stadt", "K03101", 1, 5))
    assert counts(flow, number) == ("loaded", 7, 1)
    assert excluded(flow, number) == [(2, None, "row.ragged", "Die Zeile hat 5 statt 4 Spalten", None)]


@pytest.mark.parametrize(
    ("rows", "lost"),
    [
        ([(*row[:3], "n. v.") if n < 5 else row for n, row in enumerate(GOOD)], "mehr als die Hälfte der Zeilen"),
        ([*GOOD, *((2020, name, key, "n. v.") for name, key in list(COUNTIES.items())[:2])], "der Zeitraum 31.12.2020"),
        ([*GOOD, *((year, "Niedersachsen", "K03", "n. v.") for year in (2021, 2022))], "die Gebietsebene Land"),
    ],
)
def test_too_much_is_no_slip(flow: Flow, rows: list[tuple[object, ...]], lost: str) -> None:
    number = flow.deliver(FOREIGNERS, monitor(rows))
    assert counts(flow, number)[::2] == ("quarantined", 0)
    findings = {f.rule: f for f in flow.findings(number)}
    assert f"fiele {lost} weg" in findings["rows.too_many_faulty"].message
    bad = findings["value.not_a_number"]
    assert (bad.held_back, len(bad.evidence)) == (False, sum(row[3] == "n. v." for row in rows))
    assert excluded(flow, number) == flow.raw(FOREIGNERS) == []


def test_killed_between_verdict_and_load_the_same_rows_stay_out(flow: Flow) -> None:
    flow.hand_in(FOREIGNERS, with_row(1, 2021, "Osterode", "#NV", 77))
    [number] = flow.archive(FOREIGNERS)
    assert flow.judge(FOREIGNERS) == {number: "validated"}
    before = excluded(flow, number)
    assert flow.load(FOREIGNERS) == [number]
    assert flow.load(FOREIGNERS) == []
    with loading.session(flow.settings) as conn:
        ops.set_state(conn, number, "failed")
        conn.execute("delete from raw.state_monitor__foreigners")
    flow.run(FOREIGNERS)
    assert counts(flow, number) == ("loaded", 7, 1)
    assert excluded(flow, number) == before
    assert len(flow.raw(FOREIGNERS)) == 7


def test_a_key_completed_from_the_register_stays_what_it_was_when_judged(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow.hand_in(FOREIGNERS, with_row(1, 2021, "Niedersachsen", "", 77))
    [number] = flow.archive(FOREIGNERS)
    assert flow.judge(FOREIGNERS) == {number: "validated"}
    told = {f.rule: f for f in flow.findings(number)}["key.completed_from_register"]
    assert (told.severity, told.row, told.found) == ("info", 3, "Niedersachsen")

    def gone(*_: object) -> None:
        raise AssertionError("the register must not be asked again")

    monkeypatch.setattr("teilhabe.validation.unit_names.from_warehouse", gone)
    assert flow.load(FOREIGNERS) == [number]
    assert ("03", "77") in flow.raw(FOREIGNERS, "territory_code", "value")


def test_an_office_that_can_mend_hears_of_every_row_and_nothing_is_loaded(flow: Flow) -> None:
    contract = lookup.contract(flow.settings, FOREIGNERS)
    assert not contract.mendable
    flow.hand_in(
        FOREIGNERS,
        monitor([(y, n, "#NV" if n == "Peine" else k, v) for y, n, k, v in GOOD]).replace(b"Peine", b"Nirgends"),
    )
    [number] = flow.archive(FOREIGNERS)
    assert taking_in.take_in(flow.settings, contract.model_copy(update={"mendable": True})) == {number: "quarantined"}
    [finding] = [f for f in flow.findings(number) if f.severity == "critical"]
    assert ([e.row for e in finding.evidence], finding.held_back) == ([4, 8], False)
    assert flow.raw(FOREIGNERS) == []
    assert [row for row, *_ in excluded(flow, number)] == [4, 8], "what somebody may decide to do without"


NOW = datetime(2023, 11, 3, 9, tzinfo=UTC)
KNOWN = {"Niedersachsen": "K03", "Bremen": "K04", "Hamburg": "K02", "Peine": "K03157"}
"""Keys that can be checked without an edition of the register."""
MENDED = [(year, name, key, 1000 * n + year) for year in (2021, 2022) for n, (name, key) in enumerate(KNOWN.items())]
REFUSED = monitor([*MENDED[:1], (2021, "Osterode", "#NV", 77), *MENDED[2:]])


def take_in(flow: Flow) -> dict[int, str]:
    """As the DAG does it, for an office that can mend its files."""
    contract = lookup.contract(flow.settings, FOREIGNERS).model_copy(update={"mendable": True})
    return taking_in.take_in(flow.settings, contract)


@pytest.fixture
def refused(flow: Flow) -> int:
    flow.hand_in(FOREIGNERS, REFUSED)
    [number] = flow.archive(FOREIGNERS)
    assert take_in(flow) == {number: "quarantined"}
    return number


def decide(flow: Flow, number: int, answer: deciding.Answer, reason: str = "Quelle antwortet nicht") -> str:
    with loading.session(flow.settings) as conn:
        return deciding.told(deciding.decide(conn, number, answer, reason=reason, actor="steward", now=NOW))


def follow(flow: Flow, number: int) -> list[str]:
    contract = lookup.contract(flow.settings, FOREIGNERS)
    with loading.session(flow.settings) as conn:
        changes = incidents.follow(conn, contract, number, NOW)
    return [f"{one.severity} {one.action}" for one in changes if one.rule == "key.invalid"]


def test_an_editor_may_do_without_the_rows(flow: Flow, refused: int) -> None:
    assert follow(flow, refused) == ["critical opened"]
    told = decide(flow, refused, "accept-without-rows")
    assert (
        told == f"Lieferung {refused} („zahlen.csv“) wird mit dem nächsten Lauf ohne die fehlerhafte Stelle übernommen."
    )
    assert flow.raw(FOREIGNERS) == [], "the run loads it, not the decision"
    assert take_in(flow) == {refused: "loaded"}
    assert counts(flow, refused) == ("loaded", 7, 1)
    assert [row for (row,) in flow.raw(FOREIGNERS, "_row_number")] == [2, 4, 5, 6, 7, 8, 9]
    assert flow.ask("select actor, action, note from ops.desk_act") == [
        ("steward", "accepted_without_rows", "Quelle antwortet nicht")
    ]
    assert follow(flow, refused) == []
    assert flow.ask("select severity, state from ops.incident where rule = 'key.invalid'") == [("warning", "open")], (
        "the office may still send the row"
    )
    again = decide(flow, refused, "accept-without-rows", "noch einmal")
    assert "ist schon entschieden und übernommen" in again
    assert "steward" in again and "Quelle antwortet nicht" in again
    with pytest.raises(
        TeilhabeError, match="ist schon entschieden: „ohne die fehlerhaften Stellen übernehmen“, steward"
    ):
        decide(flow, refused, "reject")
    assert flow.ask("select count(*) from ops.desk_act") == [(1,)]


def test_a_rejection_closes_and_tells_nobody(flow: Flow, refused: int) -> None:
    follow(flow, refused)
    assert "bleibt zurückgewiesen" in decide(flow, refused, "reject")
    assert counts(flow, refused)[0] == "quarantined"
    assert flow.ask("select distinct state from ops.incident") == [("fixed",)]
    assert flow.ask("select distinct actor, note from ops.incident_event where action = 'fixed'") == [
        ("steward", f"Lieferung {refused} zurückgewiesen: Quelle antwortet nicht")
    ]
    with loading.session(flow.settings) as conn:
        assert incidents.unfollowed(conn) == []
    assert "ist schon entschieden" in decide(flow, refused, "reject")
    with pytest.raises(TeilhabeError, match="„zurückweisen“, steward"):
        decide(flow, refused, "accept-without-rows")
    assert take_in(flow) == {}


def test_what_cannot_be_decided_says_why(flow: Flow, refused: int) -> None:
    with pytest.raises(TeilhabeError, match="begründen"):
        decide(flow, refused, "reject", " ")
    with pytest.raises(TeilhabeError, match="Eine Lieferung 999 gibt es nicht"):
        decide(flow, 999, "reject")
    newer = flow.deliver(FOREIGNERS, monitor(MENDED), at="2023-10-25")
    with pytest.raises(TeilhabeError, match=f"überholt: Inzwischen ist Lieferung {newer}"):
        decide(flow, refused, "accept-without-rows")
    with pytest.raises(TeilhabeError, match="ist übernommen"):
        decide(flow, newer, "accept-without-rows")
    broken = flow.deliver(FOREIGNERS, b"", at="2023-10-26")
    with pytest.raises(TeilhabeError, match="betrifft die Datei als Ganzes"):
        decide(flow, broken, "accept-without-rows")
    assert flow.ask("select count(*) from ops.approval") == [(0,)]


def test_new_rules_that_find_more_need_a_new_decision(flow: Flow, refused: int) -> None:
    decide(flow, refused, "accept-without-rows")
    with loading.session(flow.settings) as conn:
        conn.execute("update ops.excluded_row set row_number = 7")
    assert take_in(flow) == {refused: "quarantined"}
    assert [row for row, *_ in excluded(flow, refused)] == [3]
    assert "ohne die fehlerhafte Stelle" in decide(flow, refused, "accept-without-rows", "auch so")
    assert take_in(flow) == {refused: "loaded"}


def test_a_decision_killed_before_its_end_has_not_happened(flow: Flow, refused: int) -> None:
    with loading.session(flow.settings) as conn:
        deciding.decide(conn, refused, "accept-without-rows", reason="x", actor="steward", now=NOW)
        conn.rollback()
    assert counts(flow, refused)[0] == "quarantined"
    assert flow.ask("select count(*) from ops.desk_act") == [(0,)]
    decide(flow, refused, "accept-without-rows")
    with loading.session(flow.settings) as conn:
        ops.set_state(conn, refused, "failed")  # the run that judged it was killed
    assert take_in(flow) == {refused: "loaded"}


def test_explain_names_the_rows_that_were_left_out(flow: Flow) -> None:
    number = flow.deliver(FOREIGNERS, with_row(1, 2021, "Osterode", "#NV", 77))
    measures = set(lookup.contract(flow.settings, FOREIGNERS).measures)

    def told(name: str, period: str = "2021-12-31", of: set[str] = measures) -> list[str]:
        return about_excluded_rows(flow.settings, "03156", name, {period}, of)

    assert told("Osterode am Harz, Landkreis") == [
        f"Die Zeile 3 der Datei „zahlen.csv“ (Osterode, 31.12.2021) in Lieferung {number} wurde zurückgehalten: „#NV“ ist kein "
        "amtlicher Gebietsschlüssel."
    ]
    assert (
        told("Osterode am Harz, Landkreis", "2020-12-31")
        == told("Peine, Landkreis")
        == told("Osterode", of={"x"})
        == []
    )
    flow.deliver(FOREIGNERS, monitor(GOOD), at="2023-11-01")
    assert told("Osterode am Harz, Landkreis") == [], "a later file replaces all of it"
