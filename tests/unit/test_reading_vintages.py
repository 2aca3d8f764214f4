"""The same tables in other years and vintages: what may change, and what must not pass for something else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from teilhabe.contract.parsing import load_contracts
from teilhabe.errors import Finding, ReadingError
from teilhabe.reading import ReadingContext, open_reading

PROJECT = Path(__file__).resolve().parents[2]
CONTRACTS = load_contracts(PROJECT / "agencies")

OFFENCES = "police__offences_district"
POPULATION = "state_monitor__population"
FOREIGNERS = "state_monitor__foreigners"
EMPLOYEES = "state_monitor__employees"
LANGUAGE = "state_monitor__day_care_language"
ORIGIN = "state_monitor__day_care_origin"
FLAT = "state_statistics__population_nationality"
REGISTER = "register__municipalities"


@dataclass
class Result:
    rows: list[dict[str, Any]]
    findings: list[Finding]

    @property
    def critical(self) -> list[str]:
        return [finding.rule for finding in self.findings if finding.severity == "critical"]

    def finding(self, rule: str) -> Finding:
        return next(finding for finding in self.findings if finding.rule == rule)


Read = Callable[..., Result]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def reader(dataset_id: str, content: str | bytes, name: str = "datei.csv", **context: Any) -> Result:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        reading = open_reading(CONTRACTS[dataset_id], path, name, context=ReadingContext(**context))
        return Result(pa.concat_tables(reading.chunks()).to_pylist(), reading.findings)

    return reader


def refused(read: Read, *args: Any, **context: Any) -> Finding:
    with pytest.raises(ReadingError) as caught:
        read(*args, **context)
    return caught.value.finding


# Police: the columns of the years until 2018, and the way numbers are written


PKS_2016 = """1;2;3;4;5;6;7;8;9;10;11;12;13;14;15;16;17;18
{key};Straftat;Gemeindeschluessel;Stadt-/Landkreis;Kreisart;erfasste Faelle;HZ nach Zensus;Versuche - Anzahl;\
Versuche - Anteil in %;mit Schusswaffe gedroht;mit Schusswaffe geschossen;aufgeklaerte Faelle;Aufklaerungsquote;\
Tatverdaechtige insgesamt;Tatverdaechtige - maennlich;Tatverdaechtige - weiblich;\
Nichtdeutsche Tatverdaechtige - Anzahl;Nichtdeutsche Tatverdaechtige - Anteil in %
------;Straftaten insgesamt;03157;Peine;LK;{known};5300.1;500;7.1;2;1;4300;60.6;3000;2300;700;500;16.7
"""


@pytest.mark.parametrize("key", ["Schluessel", "Schluesse"])
def test_police_tables_until_2018(read: Read, key: str) -> None:
    result = read(OFFENCES, PKS_2016.format(key=key, known="7100"), "T01_2016.csv")
    values = {(r["measure_code"], r["nationality"], r["sex"]): r["value"] for r in result.rows}
    assert values == {
        ("offences_known", "total", "total"): "7100",
        ("offences_attempted", "total", "total"): "500",
        ("offences_cleared", "total", "total"): "4300",
        ("suspects", "total", "total"): "3000",
        ("suspects", "total", "male"): "2300",
        ("suspects", "total", "female"): "700",
        ("suspects", "foreign", "total"): "500",
    }
    assert not result.critical


@pytest.mark.parametrize("known", ["7.100", "7.000", "71.000", "710.000"])
def test_german_thousands_in_an_english_file_are_refused(read: Read, known: str) -> None:
    result = read(OFFENCES, PKS_2016.format(key="Schluessel", known=known), "T01_2016.csv")
    finding = result.finding("value.ambiguous_thousands")
    assert (finding.severity, finding.row, finding.column, finding.found) == ("critical", 3, "6", known)
    assert known in finding.message


def test_english_thousands_are_what_is_agreed(read: Read) -> None:
    result = read(OFFENCES, PKS_2016.format(key="Schluessel", known="7,100"), "T01_2016.csv")
    assert result.rows[0]["value"] == "7100" and not result.critical


def monitor(*rows: str, header: str = "Year,Gebietseinheit,GeoCode,Value") -> str:
    return "\n".join([header, *rows]) + "\n"


@pytest.mark.parametrize("value", ["134.801", "134.000", "7.000"])
def test_thousands_in_the_monitor_are_refused(read: Read, value: str) -> None:
    assert read(POPULATION, monitor(f"2020,Peine,K03157,{value}")).critical == ["value.ambiguous_thousands"]


def test_a_share_with_three_decimals_is_a_share(read: Read) -> None:
    text = monitor(
        "2021,Peine,ausländische Herkunft mindestens eines Elternteils,%,K03157,25.252",
        "2021,Peine,in der Familie wird vorrangig nicht deutsch gesprochen,%,K03157,14.000",
        header="Year,Gebietseinheit,Kinderbetreuung,Units,GeoCode,Value",
    )
    assert not read(LANGUAGE, text).critical


# The monitor: units and columns


def test_the_first_vintage_of_the_day_care_shares_names_no_unit(read: Read) -> None:
    text = monitor(
        "2020,Peine,ausländische Herkunft mindestens eines Elternteils,K03157,25.25",
        "2020,Peine,in der Familie wird vorrangig nicht deutsch gesprochen,K03157,14.5",
        header="Year,Gebietseinheit,Kinderbetreuung,GeoCode,Value",
    )
    result = read(LANGUAGE, text)
    assert [row["value"] for row in result.rows] == ["25.25", "14.5"] and not result.findings


def test_the_first_vintage_of_children_in_day_care_has_english_units(read: Read) -> None:
    ages = ("unter 3 Jahren", "3 bis unter 6 Jahren")
    lines = [
        f"2020,{unit},Peine,Kinder im Alter von {age} mit ausländischer Herkunft mindestens eines Elternteils,K03157,{value}"
        for unit, value in (("number", 177), ("%", 17.5))
        for age in ages
    ]
    result = read(ORIGIN, monitor(*lines, header="Year,Units,Gebietseinheit,Kinderbetreuung,GeoCode,Value"))
    assert {row["measure_code"] for row in result.rows} == {"children_day_care", "day_care_share_published"}
    assert not result.findings


@pytest.mark.parametrize("unit", ["%", "Prozent", "in 1000"])
def test_a_unit_nobody_agreed_on_is_the_reason(read: Read, unit: str) -> None:
    lines = [f"2023,Peine,{sex},{unit},K03157,13" for sex in ("Insgesamt", "männlich", "weiblich")]
    finding = refused(read, EMPLOYEES, monitor(*lines, header="Year,Gebietseinheit,Geschlecht,Units,GeoCode,Value"))
    assert finding.rule == "file.no_rows"
    assert unit in finding.message and "Units" in finding.message


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        ("Geschlecht", "weiblich"),
        ("Staatsangehörigkeit", "Türkei"),
        ("Altersgruppe", "unter 18 Jahre"),
        ("Units", "%"),
        ("Einheit", "in 1000"),
        ("Kategorie", "Anteil an allen Einwohnerinnen und Einwohnern"),
    ],
)
def test_a_column_that_divides_the_numbers_is_no_total(read: Read, column: str, cell: str) -> None:
    text = monitor(f"2020,Peine,{cell},K03157,700", header=f"Year,Gebietseinheit,{column},GeoCode,Value")
    result = read(FOREIGNERS, text)
    assert result.critical == ["header.unknown_dimension"]
    assert column in result.finding("header.unknown_dimension").message


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        ("Geschlecht", "Insgesamt"),
        ("Units", "Anzahl"),
        ("Bemerkung", "vorläufig"),
        ("Gebietseinheit kurz", "PE"),
        ("Altersgruppe", ""),
    ],
)
def test_a_column_that_divides_nothing_is_a_warning(read: Read, column: str, cell: str) -> None:
    text = monitor(f"2020,Peine,{cell},K03157,700", header=f"Year,Gebietseinheit,{column},GeoCode,Value")
    result = read(FOREIGNERS, text)
    assert [finding.rule for finding in result.findings] == ["header.unknown_column"]
    assert result.findings[0].severity == "warning"


QUOTA = "Quote je 1000 Einwohnerinnen und Einwohner der betreffenden Bevölkerungsgruppe"


def test_a_district_before_its_merger_is_not_the_one_after_it(read: Read) -> None:
    """Both stand under the key of the later district; where the other one has rows of its own, it is not merged yet."""
    groups = ("Insgesamt", "Deutsche", "Ausländerinnen und Ausländer")
    kinds = (("Empfängerinnen und Empfänger", "Anzahl", 100), (QUOTA, "Quote", 9))
    lines = [
        f"{year},{name},{kind},{group},{unit},K03159,{value + year - 2000 + len(name)}"
        for year, names in ((2014, ("Göttingen", "Osterode")), (2018, ("Göttingen",)))
        for name in names
        for kind, unit, value in kinds
        for group in groups
    ]
    result = read(
        "state_monitor__minimum_income",
        monitor(*lines, header="Year,Gebietseinheit,Kategorie,Nationalität,Units,GeoCode,Value"),
    )
    codes = {(row["territory_name"], row["period_code"][:4]): row["territory_code"] for row in result.rows}
    assert codes == {("Göttingen", "2014"): "03152", ("Osterode", "2014"): "03156", ("Göttingen", "2018"): "03159"}
    assert not result.critical


def test_an_indicator_that_became_a_share_is_refused(read: Read) -> None:
    """1-1-1 was the share of foreigners in one vintage."""
    text = monitor("2005,Peine,Prozent,K03157,5", header="Year,Gebietseinheit,Units,GeoCode,Value")
    assert read(POPULATION, text).critical == ["header.unknown_dimension"]


# GENESIS flat: the unit is a column of its own


FLAT_HEADER = (
    "statistics_code;statistics_label;time_code;time_label;time;1_variable_code;1_variable_label;"
    "1_variable_attribute_code;1_variable_attribute_label;2_variable_code;2_variable_label;"
    "2_variable_attribute_code;2_variable_attribute_label;value;value_unit;value_variable_code;value_variable_label"
)


def flat(unit: str, time: str = "2023-12-31") -> str:
    rows = [
        f"12411;Fortschreibung;STAG;Stichtag;{time};KREISE;Kreise;03157;Peine;GES;Geschlecht;{code};{text};{value};{unit};"
        "BEVSTD;Bevölkerungsstand"
        for code, text, value in (("", "Insgesamt", 100), ("GESM", "männlich", 49), ("GESW", "weiblich", 51))
    ]
    return "\n".join([FLAT_HEADER, *rows]) + "\n"


def test_the_flat_file_is_in_the_agreed_unit(read: Read) -> None:
    assert not read(FLAT, flat("Anzahl")).critical
    assert {row["period_code"] for row in read(FLAT, flat("Anzahl", "31.12.2019")).rows} == {"2019-12-31"}


@pytest.mark.parametrize("unit", ["%", "Prozent", "1000", "Tsd."])
def test_a_flat_file_of_shares_or_thousands_is_refused(read: Read, unit: str) -> None:
    result = read(FLAT, flat(unit))
    assert result.critical == ["value.unit"]
    assert (result.finding("value.unit").found, result.finding("value.unit").row_count) == (unit, 3)


# The register within a year


def record(kind: str, key: str, name: str, day: str, numbers: str = "") -> str:
    return f"{kind}{day}{key:<8}{'0001':<4}{name:<50}{'':<50}64    {numbers}".ljust(220)


def register(day: str) -> str:
    lines = [
        record("10", "03", "Musterland", day),
        record("60", "03999001", "Altdorf", day, "000000012340000000100000000000490"),
    ]
    return "\n".join(lines) + "\n"


def test_a_register_within_a_year_does_not_say_when_its_people_were_counted(read: Read) -> None:
    result = read(REGISTER, register("20240930"), "GV100AD_30092024.txt")
    assert (result.rows[1]["period_code"], result.rows[1]["area_km2"]) == ("2024-09-30", "12.34")
    assert {result.rows[1][name] for name in ("population", "population_male", "population_female")} == {None}
    assert result.finding("period.population_unknown").severity == "warning"


@pytest.mark.parametrize("day", ["20240930", "20241231"])
def test_populations_that_are_known_date_the_register(read: Read, day: str) -> None:
    """The file of the fourth quarter carries the population of the year before."""
    known = {"2022": {"03999": 990.0}, "2023": {"03999": 1000.0}}
    result = read(REGISTER, register(day), "GV100AD.txt", populations=lambda: known)
    assert (result.rows[1]["population"], result.rows[1]["population_period_code"]) == ("1000", "2023-12-31")
    assert result.finding("period.population_recognised").found == "31.12.2023"


# GENESIS: the unit in the title


@pytest.mark.parametrize("unit", ["1000", "Prozent", "Tsd. Personen"])
def test_a_table_in_another_unit_than_its_counts_is_refused(read: Read, unit: str) -> None:
    table = (PROJECT / "tests" / "fixtures" / "reading" / "genesis_population.csv").read_text(encoding="utf-8")
    assert "(Anzahl)" in table and not read("state_statistics__population", table).critical
    finding = refused(read, "state_statistics__population", table.replace("(Anzahl)", f"({unit})"))
    assert finding.rule == "header.unit" and finding.found == unit


# GENESIS flat until 2024


FORMER_HEADER = (
    "Statistik_Code;Statistik_Label;Zeit_Code;Zeit_Label;Zeit;1_Merkmal_Code;1_Merkmal_Label;1_Auspraegung_Code;"
    "1_Auspraegung_Label;2_Merkmal_Code;2_Merkmal_Label;2_Auspraegung_Code;2_Auspraegung_Label;{value}"
)


def former(value: str = "BEVSTD__Bevoelkerungsstand__Anzahl") -> str:
    rows = [
        f"12411;Fortschreibung;STAG;Stichtag;31.12.2019;KREISE;Kreise;03157;Peine;GES;Geschlecht;{code};{text};{number}"
        for code, text, number in (("", "Insgesamt", 100), ("GESM", "männlich", 49), ("GESW", "weiblich", 51))
    ]
    return "\n".join([FORMER_HEADER.format(value=value), *rows]) + "\n"


def test_the_flat_file_with_german_columns(read: Read) -> None:
    result = read(FLAT, former())
    values = {(row["territory_code"], row["period_code"], row["sex"]): row["value"] for row in result.rows}
    assert values == {
        ("03157", "2019-12-31", "total"): "100",
        ("03157", "2019-12-31", "male"): "49",
        ("03157", "2019-12-31", "female"): "51",
    }
    assert {row["_column_number"] for row in result.rows} == {14} and not result.critical
    assert read(FLAT, former("BEVSTD__Bevoelkerungsstand__1000")).critical == ["value.unit"]
