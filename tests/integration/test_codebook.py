"""What surrounds the facts: the codebook, the dimensions, the wide tables per field, and what is told about data quality."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from teilhabe import ops
from teilhabe.building import building
from teilhabe.contract.parsing import load_contracts
from teilhabe.raw import loading
from teilhabe.server import connecting
from teilhabe.settings import Settings
from tests.conftest import PROJECT
from tests.integration.test_dbt_star import offences, population, register_edition
from tests.star import Star, cell


@pytest.fixture(scope="module")
def star(installed: Settings, dbt_work: Path) -> Star:
    contracts = load_contracts(PROJECT / "agencies")
    with loading.session(installed) as conn:
        ops.record_datasets(conn, [c for c in contracts.values() if c.agency != "police"])
        conn.execute("delete from ops.delivery_calendar")
    star = Star(installed, dbt_work)
    star.deliver("register__municipalities", "2022-02-01", register_edition())
    star.deliver("police__offences_district", "2023-06-01", offences())
    star.deliver("state_statistics__population", "2023-08-01", [population("138931")])
    star.deliver("state_statistics__population", "2023-10-01", [population("136719")])
    star.deliver("jobcentre__programmes", "2024-05-10", programme("Sprache", "VHS"))
    star.deliver("jobcentre__programmes", "2024-05-20", programme("Sprache und Beruf", "Kreisvolkshochschule"))
    refused = star.deliver("jobcentre__clients", "2024-06-01", [], state="quarantined")
    with loading.session(installed) as conn:
        conn.execute(
            "insert into ops.finding (delivery_id, severity, rule, message, found, row_count)"
            " values (%s, 'critical', 'value.text', 'gefunden „Erika Musterfrau“', 'Erika Musterfrau', 3)",
            (refused,),
        )
    rebuild(star)
    return star


def rebuild(star: Star, *arguments: str) -> None:
    """One dbt process for all layers, as the product does it; datasets stay as they were recorded above."""
    building.dbt(star.settings, "build", "--exclude-resource-type", "unit_test", *arguments)
    star.publish(star.settings.work / "dbt" / "manifest.json")


def rebuild_numbers(star: Star) -> None:
    """What a delivery changes, without asking anew whether it is right."""
    rebuild(star, "seed", "test", "--select", "tag:intermediate", "tag:marts")


def programme(name: str, provider: str) -> list[dict[str, Any]]:
    """A quarter of one programme: the county's counts, one municipality's, and one of these secret."""
    told = {"category": "M01", "category_name": name, "programme_field": "Sprache", "programme_provider": provider}
    counts = {
        "programme_entries": "20",
        "programme_exits": "12",
        "programme_completed": "9",
        "programme_in_work_6m": "4",
    }
    rows = [{**cell("03157", "2024-Q1", measure, value), **told} for measure, value in counts.items()]
    rows.append({**cell("03157", "2024-Q1", "programme_cost", "31982.50"), **told})
    rows.append({**cell("03157", "2024-Q1", "programme_entries", "11"), **told, "nationality": "refugee_context"})
    rows.append({**cell("03157006", "2024-Q1", "programme_entries", "15"), **told})
    secret = {"value": None, "obs_status": "Q", "conf_status": "C"}
    rows.append({**cell("03157006", "2024-Q1", "programme_exits", "0"), **told, **secret})
    return [{"nationality": "total", **row} for row in rows]


# ------------------------------------------------------------------------------------------------------------- codebook


def test_the_codebook_names_every_relation_and_column_in_both_languages(star: Star) -> None:
    book = star.ask("select relation_name, column_name, description_en, description_de from marts.codebook")
    assert len(book) > 300
    assert not [(r, c) for r, c, english, german in book if not english or not german]
    there = star.ask(
        "select c.relname, a.attname from pg_class c left join pg_attribute a on a.attrelid = c.oid and attnum > 0"
        " where c.relnamespace = 'marts'::regnamespace and relkind in ('r', 'v')",
    )
    assert {(r, c) for r, c, _, _ in book if c} == set(there)
    assert {r for r, c, _, _ in book if not c} == {r for r, _ in there}


# ----------------------------------------------------------------------------------------------------------- dimensions


def test_agencies_and_datasets_have_names_and_codes_where_no_contract_is_known(star: Star) -> None:
    agencies = dict(star.ask("select agency_code, agency_name from marts.dim_agency"))
    assert agencies["jobcentre"] == "Jobcenter Landkreis Peine"
    assert agencies["police"] == "police", "deliveries, but no contract"
    datasets = {
        row[0]: row[1:]
        for row in star.ask("select dataset_id, dataset_name, secrecy_method, is_active from marts.dim_dataset")
    }
    assert datasets["jobcentre__programmes"] == ("Teilnahmen an Maßnahmen", "min3", True)
    assert datasets["police__offences_district"] == ("police__offences_district", None, False)


def test_every_delivery_is_of_a_known_dataset_and_agency_and_names_nobody(star: Star) -> None:
    [[count]] = star.ask(
        "select count(*) from marts.dim_delivery inner join marts.dim_dataset using (dataset_key)"
        " inner join marts.dim_agency on dim_delivery.agency_key = dim_agency.agency_key",
    )
    assert count == 7
    [[columns]] = star.ask(
        "select array_agg(attname::text) from pg_attribute where attrelid = 'marts.dim_delivery'::regclass"
    )
    assert "received_from" not in columns and "archive_uri" not in columns


def test_groups_and_categories_have_words(star: Star) -> None:
    groups = dict(
        star.ask(
            "select nationality, population_group_name_de from marts.dim_population_group"
            " where sex = 'total' and age_band = 'total'"
        )
    )
    assert groups["total"] == "insgesamt" and groups["refugee_context"] == "Kontext Fluchtmigration"
    categories = dict(star.ask("select category_code, category_name from marts.dim_category"))
    assert categories["total"] == "insgesamt"
    assert categories["M01"] == "Sprache und Beruf", "the latest delivery's word"


def test_keys_are_the_same_everywhere(star: Star) -> None:
    """Made from the codes alone: another warehouse, a full build and a partial one agree."""
    [[key]] = star.ask("select category_key from marts.dim_category where category_code = 'total'")
    [[group]] = star.ask("select population_group_key from marts.dim_population_group where is_total")
    assert (key, group) == (1133575272314181041, 269005887146158536)


# --------------------------------------------------------------------------------------------------- programmes, quality


def test_programmes_show_their_counts_side_by_side(star: Star) -> None:
    assert star.ask(
        "select programme_code, programme_name, programme_provider, first_period_code from marts.dim_programme"
    ) == [("M01", "Sprache und Beruf", "Kreisvolkshochschule", "2024-Q1")]
    rows = star.ask(
        """
        select t.territory_code, g.nationality, f.entries::int, f.exits::int, f.in_work_6m::int, f.cost_eur::float,
            f.is_partly_secret
        from marts.fct_programme_participation f inner join marts.dim_territory t using (territory_key)
        inner join marts.dim_population_group g using (population_group_key) order by 1, 2
        """,
    )
    assert rows == [
        ("03157", "refugee_context", 11, None, None, None, False),
        ("03157", "total", 20, 12, 4, 31982.5, False),
        ("03157006", "total", 15, None, None, None, True),
    ]


def test_data_quality_counts_and_does_not_quote(star: Star) -> None:
    rows = star.ask("select rule_code, severity, verdict, row_count::int, q::text from marts.fct_data_quality as q")
    assert [row[:4] for row in rows] == [("value.text", "critical", "refused", 3)]
    assert "Musterfrau" not in rows[0][4]


def test_the_scorecard_counts_revisions_and_gives_no_share_of_nothing(star: Star) -> None:
    assert star.ask(
        "select year, sender_code, periods_due, timeliness_share, revised_numbers, revised_numbers_without_reason, is_demo"
        " from marts.rpt_reporting_body_scorecard where dataset_id = 'state_statistics__population'"
    ) == [(2023, None, 0, None, 1, 1, False)]


# --------------------------------------------------------------------------------------------------------- wide reports


def test_a_row_per_territory_and_period_with_a_column_per_indicator(star: Star) -> None:
    rows = star.ask(
        "select territory_level, period_name, dem_01::int, dem_02 from marts.rpt_population where territory_code = '03157'"
        " order by period_end_date",
    )
    assert rows[-1] == ("county", "31.12.2022", 136719, None)
    [[offences_per_100_000]] = star.ask(
        "select round(sio_01) from marts.rpt_security where territory_code = '03157' and period_code = '2022'"
    )
    [[value]] = star.ask(
        "select round(value) from marts.rpt_indicator where indicator_code = 'SIO-01' and territory_code = '03157'"
        " and period_code = '2022' and category = 'total'",
    )
    assert offences_per_100_000 == value is not None


def test_published_columns_keep_their_place_and_new_ones_come_last(star: Star) -> None:
    """As if dem_02, a dem_99 that was dropped since, and dem_01 had been published before the others."""
    columns = "from marts.codebook where relation_name = 'rpt_population' and ordinal > 0 and column_name"
    fixed = star.ask(f"select column_name, data_type {columns} !~ '_[0-9]+$' order by ordinal")
    with connecting.connect("transformer", star.settings) as conn:
        conn.execute("drop view marts.rpt_population")
        conn.execute("drop view candidate.rpt_population")
        before = [f"null::{kind} as {name}" for name, kind in fixed]
        before += [f"null::numeric as {name}" for name in ("dem_02", "dem_99", "dem_01")]
        conn.execute(f"create view marts.rpt_population as select {', '.join(before)}")
    rebuild(star, "--select", "rpt_population")
    book = star.ask(f"select column_name, description_en {columns} ~ '_[0-9]+$' order by ordinal")
    assert [name for name, _ in book[:4]] == ["dem_02", "dem_99", "dem_01", "dem_03"]
    assert "no longer in the catalogue" in book[1][1]


def test_a_renamed_indicator_is_described_anew(star: Star) -> None:
    """The text of the wide table stays the same, its columns' descriptions come from the catalogue."""
    described = """
        select col_description(attrelid, attnum) from pg_attribute
        where attrelid = 'candidate.rpt_population'::regclass and attname = 'dem_02'
    """
    rename = "update candidate.dim_indicator set name_de = replace(name_de, '{}', '{}') where indicator_code = 'DEM-02'"
    [(before,)] = star.ask(described, role="transformer")
    assert "Ausländer" in before
    for old, new in (("Ausländer", "Neuzugezogenen"), ("Neuzugezogenen", "Ausländer")):
        with connecting.connect("transformer", star.settings) as conn:
            conn.execute(rename.format(old, new).encode())
        assert "KEPT" not in star.dbt("run", "--select", "rpt_population")
        assert star.ask(described, role="transformer") == [
            (before if new == "Ausländer" else before.replace(old, new),)
        ]


# -------------------------------------------------------------------------------------------------------------- builds


def test_a_full_build_gives_the_same_dimensions(star: Star) -> None:
    names = ["population_group", "category", "agency", "dataset", "programme", "period", "measure", "measure_source"]
    names = [f"dim_{name}" for name in names] + ["dim_delivery", "fct_programme_participation", "fct_data_quality"]

    def contents() -> dict[str, list[tuple[Any, ...]]]:
        return {name: star.ask(f"select t::text from marts.{name} as t order by 1") for name in names}

    before = contents()
    assert all(before.values())
    rebuild(star, "seed", "test", "--full-refresh", "--select", "tag:intermediate", "tag:marts")
    assert contents() == before


def test_what_only_a_withdrawn_delivery_said_is_gone(star: Star) -> None:
    told = {"nationality": "ukrainian", "category": "M99", "category_name": "Neu"}
    new = {**cell("03157", "2024-Q2", "programme_entries", "1"), **told}
    delivery = star.deliver("jobcentre__programmes", "2024-08-01", [new])
    known = """
        select
            (select count(*) from marts.dim_programme where programme_code = 'M99'),
            (select count(*) from marts.dim_category where category_code = 'M99'),
            (select count(*) from marts.dim_population_group where nationality = 'ukrainian' and sex = 'total')
    """
    rebuild_numbers(star)
    assert star.ask(known) == [(1, 1, 1)]
    with loading.session(star.settings) as conn:
        ops.set_state(conn, delivery, "quarantined")
    rebuild_numbers(star)
    assert star.ask(known) == [(0, 0, 0)]
