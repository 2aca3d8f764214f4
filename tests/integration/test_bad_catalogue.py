"""Seeds with mistakes in them: the build names the indicator or measure instead of running on, or forever."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from teilhabe.server import connecting
from teilhabe.settings import Settings
from tests import forks

PROJECT = Path(__file__).resolve().parents[2]
CATALOGUE = ("resource_type:seed", "int_indicator__terms", "int_indicator__definitions")

ADDED = {
    "measures": [
        "hen,Henne,Hen,birds,flow,true,true,Lays eggs.",
        "egg,Ei,Egg,eggs,flow,true,true,Becomes a hen.",
        "due,Soll,Due,persons,flow,true,true,Quota and remainder.",
    ],
    "measure_formulas": ["hen,1,1,egg", "egg,1,1,hen", "due,1,1,allocation_quota", "due,2,1,allocation_carry_over"],
    "indicators": [
        f"{code},housing,ext,A,A,neutral,year,county,county,,,,,C,C"
        for code in ("BAD-01", "BAD-02", "BAD-03", "BAD-04")
    ],
    "indicator_definitions": [
        "BAD-01,1,true,,,county,,,%,%,100,ratio_of_sums,true,,D,D",
        "BAD-02,1,true,,,county,,,%,%,100,ratio_of_sums,true,,D,D",
        "BAD-03,1,true,,2020-12-31,nobody,,,%,%,100,ratio_of_sums,true,,D,D",
        "BAD-03,2,true,2020-12-31,,county,,,%,%,100,ratio_of_sums,true,,D,D",
        "BAD-04,1,true,,,county,,,%,%,100,ratio_of_sums,true,,D,D",
    ],
    "indicator_terms": [
        "BAD-01,1,numerator,1,1,unicorns,total,total,total,total,same,any,false",
        "BAD-02,1,numerator,1,1,hen,total,total,total,total,same,any,false",
        "BAD-02,1,denominator,1,1,population,total,total,total,total,at_full_moon,any,false",
        "BAD-03,1,numerator,1,1,suspects,total,total,total,total,same,any,false",
        "BAD-03,1,denominator,1,1,population,total,total,total,total,same,any,false",
        "BAD-03,2,numerator,1,1,unemployed,total,total,total,total,same,any,false",
        "BAD-03,2,denominator,1,1,moves_in,total,total,total,total,latest_year_end,any,false",
        "BAD-04,1,numerator,1,1,due,total,total,total,total,quarter_sum,any,false",
        "BAD-04,1,denominator,1,1,population,total,total,total,total,same,any,false",
    ],
    "series_breaks": ["flood,water,,,2021-07-14,,,law,D,D", "eclipse,population,,,,,31-12,law,D,D"],
    "indicator_targets": ["WOH-03,1,,2024-01-01,,60,70,D,D"],
}

REFUSED_AT_ONCE = [
    "Indicator BAD-01, definition 1: the measure unicorns of its numerator is not in measures.csv.",
    "Indicator BAD-01, definition 1: a ratio needs a denominator, and it has none.",
    "The formula of measure hen comes back to itself: hen -> egg -> hen.",
    "Measure due claims to add up over groups, but its part allocation_carry_over does not.",
    "Indicator BAD-02, definition 1: there is no period rule at_full_moon.",
    "Indicator BAD-03, definition 1: there is no framework nobody.",
    "Indicator BAD-03: definitions 1 and 2 are default at the same time.",
    "Break flood: there is no measure water.",
    "Break eclipse: it needs either from_date (and to_date on or after it) or recurs_on as MM-DD.",
    "Two targets of WOH-03 hold for the same territory at the same time.",
]
REFUSED_OF_PARTS = [
    "Indicator BAD-04, definition 1: allocation_carry_over is a stock and cannot be taken by the rule quarter_sum (sum).",
    "Indicator BAD-03, definition 2: moves_in is a flow and cannot be taken by the rule latest_year_end (state).",
    "Indicator BAD-03, definition 1: it must be taken as delivered, because suspects does not add up over territory.",
]

Dbt = Callable[..., str]


@pytest.fixture(scope="module")
def dbt(installed: Settings, tmp_path_factory: pytest.TempPathFactory) -> Dbt:
    """Run dbt on a copy of the project whose seeds hold the mistakes; the output, when it ended as expected."""
    work = tmp_path_factory.mktemp("bad")
    copy = work / "dbt_project"
    shutil.copytree(PROJECT / "dbt_project", copy, ignore=shutil.ignore_patterns("target", "logs"))
    for name, lines in ADDED.items():
        with (copy / "seeds" / f"{name}.csv").open("a", encoding="utf-8") as seed:
            seed.write("\n".join(lines) + "\n")
    environment = {
        **os.environ,
        **connecting.dbt_environment(installed),
        "DBT_PROFILES_DIR": str(copy),
        "DBT_TARGET_PATH": str(work / "target"),
        "DBT_LOG_PATH": str(work / "logs"),
    }

    def run(*arguments: str, fails: bool = False) -> str:
        done = forks.run("dbt.cli.main", arguments, copy, environment)
        assert (done.returncode != 0) is fails, done.stdout[-6000:]
        return done.stdout

    return run


def test_a_build_ends_before_the_arithmetic_and_says_what_is_wrong(dbt: Dbt) -> None:
    said = dbt("build", "--select", *CATALOGUE, fails=True)
    assert [sentence for sentence in REFUSED_AT_ONCE if sentence not in said] == []
    assert "SKIP relation intermediate.int_indicator__terms" in said


def test_a_formula_that_comes_back_to_itself_does_not_run_forever(dbt: Dbt) -> None:
    dbt("seed")
    dbt("run", "--select", "int_indicator__terms", "int_indicator__definitions")
    said = dbt(
        "test", "--select", "stocks_are_not_summed_nor_flows_averaged",
        "summable_indicators_are_made_of_summable_measures", fails=True,
    )  # fmt: skip
    assert [sentence for sentence in REFUSED_OF_PARTS if sentence not in said] == []
