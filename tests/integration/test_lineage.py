"""From a published number to the rows of the files it is made of: given these deliveries, expect these cells, parts and sentences."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from psycopg.rows import dict_row

from teilhabe.errors import TeilhabeError
from teilhabe.explaining import explanation
from teilhabe.explaining import view as explain_view
from teilhabe.explaining.explanation import Question
from teilhabe.server import connecting
from teilhabe.settings import Settings
from tests.integration.test_dbt_star import (
    accommodation,
    allocation,
    clubs,
    integrations,
    migration,
    register_edition,
    unemployed,
)
from tests.star import MUNICIPALITIES, Rows, Star, cell

COUNTY, PEINE, ILSEDE, OLD_ILSEDE, LAHSTEDT = "03157", "03157006", "03157009", "03157003", "03157004"
AGES = ("15_15", "16_17", "18_19", "20_24", "25_29", "30_34", "35_39", "40_44", "45_49", "50_54", "55_59", "60_64")


def inhabitants(territory: str, period: str, value: int | None, **group: str) -> dict[str, Any]:
    row = cell(territory, period, "population", value, sex="total", **group)
    return {name: row[name] for name in row if name not in ("measure_code", "category")}


def ages(territory: str, period: str, each: int) -> Rows:
    return [inhabitants(territory, period, each, age_band=age, nationality="total") for age in AGES]


def dead_keys(year: str) -> Rows:
    """Both predecessors of Ilsede are still in use and no correction says so; nobody else reports."""
    rows = []
    for territory, value in ((OLD_ILSEDE, 500), (LAHSTEDT, 106)):
        row = cell(territory, year, "unemployed", value, nationality="total", age_band="total")
        rows.append({name: row[name] for name in row if name != "measure_code"})
    return rows


@pytest.fixture(scope="module")
def star(installed: Settings, dbt_work: Path) -> Star:
    """One county; the other datasets' numbers beside those that count; a revision; a merger of 2015."""
    star = Star(installed, dbt_work)
    star.deliver("register__municipalities", "2022-02-01", register_edition())
    star.deliver("employment_agency__unemployed_municipal", "2017-06-01", unemployed())
    star.deliver("employment_agency__unemployed_municipal", "2018-06-01", dead_keys("2017"))
    star.deliver(
        "state_statistics__population",
        "2016-10-01",
        [row for territory in MUNICIPALITIES for row in ages(territory, "2015-12-31", 1000)],
    )
    star.deliver(
        "state_statistics__population",
        "2014-10-01",
        [inhabitants(OLD_ILSEDE, "2013-12-31", 11400), inhabitants(LAHSTEDT, "2013-12-31", 10100)],
    )
    star.deliver("state_statistics__population", "2023-08-01", [inhabitants(COUNTY, "2022-12-31", 138931)])
    star.deliver("state_statistics__population", "2024-08-01", [inhabitants(COUNTY, "2022-12-31", 136719)])
    star.deliver(
        "state_statistics__population_nationality",
        "2023-09-01",
        [
            inhabitants(COUNTY, "2022-12-31", 138900, nationality="total", age_band="total"),
            inhabitants(COUNTY, "2022-12-31", 15500, nationality="foreign", age_band="total"),
        ],
    )
    star.deliver("jobcentre__clients", "2024-06-01", integrations())
    star.deliver("housing__accommodation", "2024-04-01", accommodation())
    star.deliver("housing__allocation", "2024-04-10", allocation())
    star.deliver("civic__sports_clubs", "2022-02-10", clubs(), sender="verband@demo.teilhabe.example")
    star.deliver("state_statistics__migration", "2023-07-01", migration())
    star.build()
    return star


def rows_of(star: Star, query: str, *parameters: object) -> list[dict[str, Any]]:
    with connecting.connect("analyst", star.settings) as conn, conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query.encode(), parameters).fetchall()


def lineage(star: Star, code: str, territory: str, period: str, basis: str = "as_delivered", **group: str) -> Rows:
    """The number's rows for one group, the total by default."""
    wanted = {"nationality": "total", "sex": "total", "age_band": "total", "category": "total", **group}
    rows = rows_of(
        star,
        "select * from marts.lineage where indicator_code = %s and territory_code = %s and period_code = %s"
        " and territorial_basis in ('both', %s) and is_default order by cell_id",
        *(code, territory, period, basis),
    )
    return [row for row in rows if all(row[name] == value for name, value in wanted.items())]


def told(star: Star, code: str, territory: str, period: str, **said: Any) -> str:
    return "\n".join(explain_view.lines(explanation.explain(star.settings, Question(code, territory, period, **said))))


def refused(star: Star, code: str, territory: str, period: str, **said: Any) -> str:
    with pytest.raises(TeilhabeError) as error:
        explanation.explain(star.settings, Question(code, territory, period, **said))
    assert "\n" not in str(error.value)
    return str(error.value)


# The view


def test_a_delivered_cell_names_its_file_row_and_hash(star: Star) -> None:
    [row] = [row for row in lineage(star, "ARB-03", PEINE, "2016") if row["role"] == "numerator"]
    [delivered] = rows_of(
        star,
        "select delivery_id, sha256, received_at from marts.dim_delivery where known_from = '2017-06-01'",
    )
    assert {name: row[name] for name in delivered} == delivered
    assert (row["file_name"], row["row_number"], row["column_number"]) == ("test.csv", 9, 1)
    assert (row["numerator"], row["cell_value"], row["delivered_value"]) == (1904, 1904, 1904)
    assert (row["formula"], row["licence"] is not None, row["attribution"] is not None) == (
        "unemployed / population (15_64) x 100",
        True,
        True,
    )
    assert row["caveat_de"].startswith("Nicht die amtliche Arbeitslosenquote")


def test_a_computed_cell_is_followed_by_its_parts_down_to_the_files(star: Star) -> None:
    """The county's inhabitants of 15 to 64: seven municipalities, twelve age bands each."""
    rows = [row for row in lineage(star, "ARB-03", COUNTY, "2016") if row["role"] == "denominator"]
    by_depth = {depth: [row for row in rows if row["depth"] == depth] for depth in (1, 2, 3)}
    assert [len(by_depth[depth]) for depth in (1, 2, 3)] == [1, 7, 84]
    assert (by_depth[1][0]["cell_value"], by_depth[1][0]["territorial_method"]) == (84000, "sum_of_municipalities")
    assert {row["cell_value"] for row in by_depth[2]} == {12000}
    assert {row["part_of"] for row in by_depth[3]} == {row["cell_id"] for row in by_depth[2]}
    assert all(row["row_number"] and not row["is_derived"] for row in by_depth[3])


def test_a_moved_number_leads_to_the_row_it_was_delivered_in(star: Star) -> None:
    rows = [row for row in lineage(star, "ARB-03", ILSEDE, "2016") if row["role"] == "numerator"]
    assert [(r["cell_territory_code"], r["cell_value"], r["is_derived"], r["correction_id"]) for r in rows] == [
        (ILSEDE, 606, True, "ilsede-2016"),
        (OLD_ILSEDE, 606, False, "ilsede-2016"),
    ]
    assert (rows[1]["row_number"], rows[1]["correction_action"]) == (5, "move_key")
    assert "erloschen" in rows[1]["correction_reason_de"]


def test_numbers_under_dead_keys_are_the_parts_of_the_valid_one(star: Star) -> None:
    rows = [row for row in lineage(star, "ARB-03", ILSEDE, "2017") if row["role"] == "numerator"]
    assert [(row["depth"], row["cell_territory_code"], row["cell_value"]) for row in rows] == [
        (1, ILSEDE, 606),
        (2, OLD_ILSEDE, 500),
        (2, LAHSTEDT, 106),
    ]


def test_a_converted_number_names_the_units_it_was(star: Star) -> None:
    rows = lineage(star, "DEM-01", ILSEDE, "2013-12-31", basis="converted")
    assert [(r["cell_territory_code"], r["cell_value"], r["cell_share"], r["territorial_method"]) for r in rows] == [
        (ILSEDE, 21500, 1, "exact_sum"),
        (OLD_ILSEDE, 11400, 1, "as_delivered"),
        (LAHSTEDT, 10100, 1, "as_delivered"),
    ]


def test_the_total_of_a_listing_names_its_entries(star: Star) -> None:
    rows = [row for row in lineage(star, "SOZ-01", COUNTY, "2022-01-01") if row["role"] == "numerator"]
    leaves = {
        (row["cell_category"], row["cell_territory_code"], row["cell_value"]) for row in rows if row["depth"] == 3
    }
    assert leaves == {("club_1", PEINE, 300), ("club_2", PEINE, 200), ("club_3", "03157001", 100)}


def test_a_formula_that_keeps_to_one_dataset_does_so_where_another_counts(star: Star) -> None:
    """The share of foreigners divides by the same release's inhabitants, not by those that count elsewhere."""
    rows = lineage(star, "DEM-02", COUNTY, "2022-12-31")
    assert {(row["role"], row["cell_value"], row["is_authoritative"]) for row in rows} == {
        ("numerator", 15500, True),
        ("denominator", 138900, False),
    }
    alternatives = rows_of(star, "select value, known_from from marts.fct_observation_alternative where value = 138900")
    assert len(alternatives) == 1


def test_terms_have_signs_means_and_gaps(star: Star) -> None:
    signs = {
        (r["measure_code"], r["sign"]) for r in lineage(star, "DEM-05", COUNTY, "2022") if r["role"] == "numerator"
    }
    assert signs == {("moves_in", 1), ("moves_out", -1)}
    window = [row for row in lineage(star, "ARB-07", COUNTY, "2024-02") if row["role"] == "denominator"]
    missing = [row for row in window if row["delivery_id"] is None]
    assert [(row["cell_period_code"], row["cell_value"], row["cell_obs_status"]) for row in missing] == [
        ("2023-02", None, "M")
    ]


def test_breaks_are_those_the_number_stands_behind(star: Star) -> None:
    notes = {row["cell_period_code"]: row["break_notes_de"] for row in lineage(star, "DEM-02", COUNTY, "2022-12-31")}
    assert "Zensus 2022" in notes["2022-12-31"]
    earlier = lineage(star, "ARB-03", PEINE, "2016")
    assert not any("Zensus 2022" in (row["break_notes_de"] or "") for row in earlier)


def test_every_number_is_the_sum_of_its_cells_and_every_cell_of_its_parts(star: Star) -> None:
    """Whatever rule derived a cell: lineage finds its parts again, all of them and no others."""
    rows = rows_of(star, "select * from marts.lineage")
    value_of = ("indicator_code", "definition_version", "territory_code", "period_code", "territorial_basis")
    group = ("nationality", "sex", "age_band", "category")
    values: dict[tuple[Any, ...], Rows] = {}
    for row in rows:
        values.setdefault(tuple(row[name] for name in value_of + group), []).append(row)
    [published] = rows_of(star, "select count(*) as n from marts.fct_indicator")
    assert len(values) == published["n"] > 100
    derived = 0
    for key, cells in values.items():
        assert len({row["cell_id"] for row in cells}) == len(cells), key
        for role in ("numerator", "denominator"):
            own = [row for row in cells if row["role"] == role and row["depth"] == 1]
            divisor = len(own) if any("mean" in row["period_rule"] for row in own) else 1
            expected = total(
                [row["sign"] * row["cell_value"] if row["cell_value"] is not None else None for row in own]
            )
            assert own or cells[0][role] is None, key
            assert (expected if expected is None else expected / divisor) == cells[0][role], (key, role)
        for row in cells:
            parts = [part for part in cells if part["part_of"] == row["cell_id"]]
            if not row["is_derived"]:
                assert not parts, key
                assert row["delivery_id"] is None or row["row_number"] is not None, key
                continue
            derived += 1
            assert parts, (key, row["cell_id"])
            summed = total([p["cell_value"] * p["cell_share"] if p["cell_value"] is not None else None for p in parts])
            assert summed == row["cell_value"], (key, row["cell_id"])
    assert derived > 50


def total(values: Sequence[Decimal | None]) -> Decimal | None:
    if not values or any(value is None for value in values):
        return None
    return sum((value for value in values if value is not None), Decimal(0))


def test_lineage_of_a_moment_is_what_was_known_then(star: Star) -> None:
    query = "select cell_value, cell_known_until from marts.lineage_of('DEM-01', '03157', '2022-12-31', %s) where nationality = 'total'"
    assert [row["cell_value"] for row in rows_of(star, query, "2023-12-01")] == [138931]
    assert [row["cell_value"] for row in rows_of(star, query, "2024-12-01")] == [136719]
    assert rows_of(star, query, "2023-01-01") == []
    view = "select * from marts.lineage where indicator_code = 'ARB-03' order by territory_code, period_code, nationality, cell_id"
    function = (
        "select l.* from (select distinct territory_code, period_code from marts.lineage where indicator_code = 'ARB-03') as k"
        " cross join lateral marts.lineage_of('ARB-03', k.territory_code, k.period_code) as l"
        " order by territory_code, period_code, nationality, cell_id"
    )
    assert rows_of(star, function) == rows_of(star, view)


def test_lineage_can_read_every_number_by_key(star: Star) -> None:
    """So small a table is read whole; where that is switched off, there is an index for each place it is asked at."""
    with connecting.connect("analyst", star.settings) as conn:
        conn.execute("set enable_seqscan = off")
        [[plan]] = conn.execute(
            "explain (format json) select * from marts.lineage where indicator_code = 'ARB-03'"
            " and territory_code = '03157' and period_code = '2016'"
        ).fetchall()
    nodes, read = [plan[0]["Plan"]], set()
    while nodes:
        node = nodes.pop()
        nodes += node.get("Plans", [])
        if node.get("Relation Name", "").startswith("fct_"):
            read.add((node["Relation Name"], node["Node Type"]))
    assert {name for name, _ in read} == {
        "fct_indicator_vintage",
        "fct_observation_vintage",
        "fct_observation_alternative",
    }
    assert not {how for _, how in read} - {"Index Scan", "Bitmap Heap Scan"}


# What people read


def test_explain_tells_value_terms_files_definition_and_sources(star: Star) -> None:
    text = told(star, "ARB-03", COUNTY, "2016")
    for part in (
        "3903 / 84000 x 100",
        "formula      unemployed / population (15_64) x 100",
        "numerator    3903: unemployed, 2016, from employment_agency__unemployed_municipal",
        "sum of municipalities: 7 parts",
        "Korrektur ilsede-2016 (move_key): Ilsede ist 2016",
        "+ 03157009 Ilsede: 606 (A/F), moved here from a wrong key: delivery 2, row 5",
        "+ 03157006 Peine, Stadt: 12000 (A/F), sum of age bands: delivery 4, rows",
        "Definition   1, die übliche (gilt ohne Frist): Arbeitslose",
        "Rahmen       folgt: Wegweiser Kommune",
        "Hinweis      Nicht die amtliche Arbeitslosenquote",
        "Quelle       Statistik der Bundesagentur für Arbeit",
        f"sha256 {2:064x}",
        "release      1 of ",
        "in this form since release 1",
    ):
        assert part in text, f"{part} is not in:\n{text}"


def test_explain_names_every_cell_of_a_sum_and_the_demo(star: Star) -> None:
    quarter = told(star, "WOH-06", PEINE, "2024-Q1")
    assert "numerator    6: moves_to_own_flat, 2024-01/2024-03" in quarter
    assert "+ moves_to_own_flat, 2024-02: 2 (A/F), from housing__accommodation" in quarter
    assert "denominator  100 (mean): housed_persons" in quarter
    assert "- moves_out, 2022: 910 (A/F)" in told(star, "DEM-05", COUNTY, "2022")
    assert "Demo: erfundene Zahlen" in told(star, "SOZ-01", PEINE, "2022-01-01")
    assert "Demo" not in quarter


def test_explain_says_why_a_number_has_no_value(star: Star) -> None:
    assert "+ employable_recipients, 2023-02: not delivered" in told(star, "ARB-07", COUNTY, "2024-02")
    secret = "no value: moves_to_own_flat of 03157008 in 2024-02 is suppressed (secret) in delivery 10, row 51"
    for territory in ("03157008", COUNTY):
        text = told(star, "WOH-06", territory, "2024-Q1")
        assert secret in text, text


def test_explain_tells_what_was_said_before_and_at_a_day(star: Star) -> None:
    now = told(star, "DEM-01", COUNTY, "2022-12-31")
    assert "* 136719 since 2024-08-01" in now
    assert "138931 since 2023-08-01 02:00 CEST until 2024-08-01" in now
    then = told(star, "DEM-01", COUNTY, "2022-12-31", as_of=date(2023, 8, 1))
    assert "as known at the end of 2023-08-01 (Europe/Berlin)" in then
    assert "value        138931 Personen" in then
    assert "136719" not in then


def test_explain_compares_definitions_and_keeps_to_the_one_asked_for(star: Star) -> None:
    found = explanation.explain(star.settings, Question("DEM-02", COUNTY, "2022-12-31"))
    assert found["definition"]["definition_version"] == 1
    assert [d["definition_version"] for d in found["other_definitions"]] == [2]
    [value] = found["values"]
    assert [cell["dataset_id"] for cell in value["cells"]] == ["state_statistics__population_nationality"] * 2
    assert json.loads(json.dumps(found, default=str))["values"][0]["numerator"] == "15500"


def test_explain_on_the_territories_of_today(star: Star) -> None:
    text = told(star, "DEM-01", ILSEDE, "2013-12-31", converted=True)
    assert "territory    converted to the unit of today" in text
    assert "+ 03157003 Ilsede: 11400 (A/F), delivery 5, row 1, column 1" in text


@pytest.mark.parametrize(
    ("code", "territory", "period", "said", "sentence"),
    [
        ("ARB-99", COUNTY, "2016", {}, "There is no indicator ARB-99 in the catalogue; do you mean ARB-0"),
        ("ARB-03", COUNTY, "2016", {"definition": 7}, "ARB-03 has no definition 7; it has 1."),
        ("ARB-03", "3157", "2016", {}, "There is no territory with the key 3157; do you mean 03157 "),
        ("ARB-03", COUNTY, "2016-13", {}, "2016-13 is no period; write e.g. 2024"),
        ("ARB-03", PEINE, "2030", {}, "unemployed is not delivered for that period; ARB-03 is there for 2016"),
        ("ARB-03", PEINE, "2016", {"as_of": date(2016, 1, 1)}, "At the end of 2016-01-01 nothing was known yet"),
        ("DEM-02", COUNTY, "2022-12-31", {"nationality": "asylum8"}, "it is there for nationality total."),
        ("DEM-02", COUNTY, "2022", {}, "DEM-02 is there for 2022-12-31, not for 2022; ask for 2022-12-31."),
        ("DEM-01", OLD_ILSEDE, "2013-12-31", {"converted": True}, f"{OLD_ILSEDE} went into {ILSEDE} Ilsede"),
        ("DEM-01", ILSEDE, "2013-12-31", {}, "ask with --converted"),
        ("SIO-06", COUNTY, "2022", {}, "no office delivers suspects_asylum_status and suspects so far (Needed is"),
        ("DEM-05", PEINE, "2022", {}, f"moves_in is not delivered for {PEINE}"),
    ],
)
def test_explain_of_what_is_not_there_says_why(
    star: Star, code: str, territory: str, period: str, said: dict[str, Any], sentence: str
) -> None:
    assert sentence in refused(star, code, territory, period, **said)


def test_explain_needs_no_more_than_the_analyst_may_read(star: Star) -> None:
    """What it reads, it reads as the analyst: the schemas below marts are closed to that role."""
    with connecting.connect("analyst", star.settings) as conn:
        [[role, below]] = conn.execute(
            "select current_user, has_schema_privilege('intermediate', 'usage') or has_schema_privilege('staging', 'usage')"
        ).fetchall()
    assert (role, below) == ("teilhabe_analyst", False)
    assert explanation.explain(star.settings, Question("DEM-01", COUNTY, "2022-12-31"))["values"]
