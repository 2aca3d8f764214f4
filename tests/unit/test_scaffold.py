"""A new dataset from a file: recognised whatever its form, tried before it is written, nothing overwritten or copied."""

from __future__ import annotations

import shutil
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import openpyxl
import pytest

from teilhabe.building import observation_union
from teilhabe.contract import naming
from teilhabe.contract.model import Contract
from teilhabe.contract.parsing import contract_path, load_contract
from teilhabe.errors import ReadingError, TeilhabeError
from teilhabe.onboarding.proposing import propose
from teilhabe.onboarding.scaffold import new_dataset
from teilhabe.reading import open_reading
from teilhabe.settings import Settings, get_settings
from teilhabe.validation.suite import load_suite

PROJECT = Path(__file__).resolve().parents[2]
DELIVERIES = PROJECT / "tests" / "fixtures" / "deliveries"
OWN_READERS = ("elections__local", "employment_agency__municipal_workbook", "register__")
"""Layouts nobody else has."""

WIDE = "AGS;Gemeinde;Monat;Beratungen;Beratungen Frauen\n03157001;Edemissen;03/2024;1.240;12\n03157006;Peine, Stadt;03/2024;31;*\n"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    project = tmp_path / "project"
    for name in ("agencies", "expectations", "dbt_project/seeds"):
        shutil.copytree(PROJECT / name, project / name)
    return replace(get_settings({}), project=project)


def file(tmp_path: Path, content: str | bytes, name: str = "zahlen.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def workbook(sheets: dict[str, list[list[object]]]) -> bytes:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    stream = BytesIO()
    book.save(stream)
    return stream.getvalue()


def added(settings: Settings, path: Path) -> Contract:
    new_dataset(settings, "office", "numbers", path)
    return load_contract(contract_path(settings.agencies, "office__numbers"))


def values(contract: Contract, path: Path) -> dict[tuple[str, ...], str | None]:
    """The file's numbers by everything they are about."""
    reading = open_reading(contract, path, path.name)
    keys = [
        n
        for n in contract.column_names
        if n not in ("territory_name", "category_name", "value", "obs_status", "conf_status")
    ]
    rows = [row for chunk in reading.chunks() for row in chunk.to_pylist()]
    assert reading.findings == []
    return {tuple(row[name] for name in keys): row["value"] for row in rows}


# What is written


def test_contract_suite_model_and_fixture_are_written_and_only_the_catalogue_grows(
    settings: Settings, tmp_path: Path
) -> None:
    before = {p: p.read_bytes() for p in settings.project.rglob("*") if p.is_file()}
    made = new_dataset(settings, "office", "numbers", file(tmp_path, WIDE))
    after = {p for p in settings.project.rglob("*") if p.is_file()}
    assert {p.relative_to(settings.project).as_posix() for p in after - set(before)} == {
        "agencies/office/numbers.odcs.yaml",
        "expectations/office/numbers.json",
        "dbt_project/models/staging/office/stg_office__numbers.sql",
        "dbt_project/models/staging/office/stg_office__numbers.yml",
        "tests/fixtures/deliveries/office__numbers.csv",
        "dbt_project/macros/observation_models.sql",
    }
    catalogue = settings.dbt_project / "seeds" / "measures.csv"
    union = observation_union.path(settings.dbt_project)
    assert {p for p, content in before.items() if p.read_bytes() != content} <= {catalogue, union}
    assert catalogue.read_bytes().startswith(before[catalogue])
    assert set(made.files) == (after - set(before)) | {catalogue, union}
    assert "ref('stg_office__numbers')" in union.read_text(encoding="utf-8")
    assert observation_union.is_current(settings.dbt_project)
    contract = load_contract(contract_path(settings.agencies, "office__numbers"))
    assert load_suite(settings.expectations, contract).expectations


def test_the_new_dataset_reads_its_own_file(settings: Settings, tmp_path: Path) -> None:
    path = file(tmp_path, WIDE)
    contract = added(settings, path)
    assert values(contract, path) == {
        ("03157001", "2024-03", "beratungen", "total"): "1240",
        ("03157001", "2024-03", "beratungen", "female"): "12",
        ("03157006", "2024-03", "beratungen", "total"): "31",
        ("03157006", "2024-03", "beratungen", "female"): None,
    }


def test_what_a_person_must_decide_is_marked_and_said(settings: Settings, tmp_path: Path) -> None:
    made = new_dataset(settings, "office", "numbers", file(tmp_path, WIDE))
    text = contract_path(settings.agencies, "office__numbers").read_text(encoding="utf-8")
    for matter in ("Geheimhaltung", "Lizenz", "Ansprechstelle", "Turnus", "Titel"):
        assert any("TODO" in line and matter in line for line in text.splitlines()), matter
    assert any("1.234" in point for point in made.open_points), "1.240 can be read both ways"
    assert all(f"# TODO {point}" in text for point in made.open_points)


def test_the_fixture_has_the_structure_but_not_the_numbers_and_no_remarks(settings: Settings, tmp_path: Path) -> None:
    text = (
        "AGS;Gemeinde;Jahr;Fälle;Bemerkung\n03157001;Edemissen;2024;4711;Rückfrage bei der Leitung\n"
        "03157006;Peine, Stadt;2024;8150;\n"
    )
    new_dataset(settings, "office", "numbers", file(tmp_path, text))
    fixture = (settings.project / "tests/fixtures/deliveries/office__numbers.csv").read_text(encoding="utf-8")
    assert fixture.splitlines()[0] == text.splitlines()[0]
    assert not any(found in fixture for found in ("4711", "8150", "Rückfrage"))
    contract = load_contract(contract_path(settings.agencies, "office__numbers"))
    path = file(tmp_path, fixture, "fixture.csv")
    assert len(values(contract, path)) == 2


def test_nothing_is_written_in_a_dry_run(settings: Settings, tmp_path: Path) -> None:
    before = {p: p.read_bytes() for p in settings.project.rglob("*") if p.is_file()}
    made = new_dataset(settings, "office", "numbers", file(tmp_path, WIDE), dry_run=True)
    assert len(made.files) == 7 and made.rows == 4
    assert {p: p.read_bytes() for p in settings.project.rglob("*") if p.is_file()} == before


def test_nothing_is_overwritten(settings: Settings, tmp_path: Path) -> None:
    path = file(tmp_path, WIDE)
    new_dataset(settings, "office", "numbers", path)
    before = {p: p.read_bytes() for p in settings.project.rglob("*") if p.is_file()}
    with pytest.raises(TeilhabeError, match="nothing is overwritten"):
        new_dataset(settings, "office", "numbers", path)
    assert {p: p.read_bytes() for p in settings.project.rglob("*") if p.is_file()} == before


def test_a_measure_the_catalogue_knows_is_used(settings: Settings, tmp_path: Path) -> None:
    text = "AGS;Gemeinde;Jahr;Arbeitslose;davon ganz Neues\n03157001;Edemissen;2024;40;3\n03157006;Peine, Stadt;2024;90;4\n"
    contract = added(settings, file(tmp_path, text))
    assert contract.measures == ["davon_ganz_neues", "unemployed"]


# What is recognised


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("semicolon", "AGS;Gemeinde;Jahr;Fälle\n03157001;Edemissen;2024;1.234\n03157006;Peine;2024;2.000\n", "1234"),
        ("comma, English", 'AGS,Gemeinde,Jahr,Fälle,Quote\n03157001,Edemissen,2024,"1,234",1.5\n03157006,Peine,2024,7,2.5\n', "1234"),
        ("tab, plain", "AGS\tGemeinde\tJahr\tFälle\tQuote\n03157001\tEdemissen\t2024\t1234\t1.5\n03157006\tPeine\t2024\t7\t2.5\n", "1234"),
        ("Windows", "Schlüssel;Gemeinde;Jahr;Fälle\n03157001;Edemissen;2024;1234\n03157006;Peine;2024;7\n".encode("cp1252"), "1234"),
        ("byte order mark", "\ufeffAGS;Gemeinde;Jahr;Fälle\r\n03157001;Edemissen;2024;1234\r\n03157006;Peine;2024;7\r\n", "1234"),
        ("lost zero", "AGS;Gemeinde;Jahr;Fälle\n3157001;Edemissen;2024;1234\n3157006;Peine;2024;7\n", "1234"),
        ("title lines", "Fallzahlen\n\nAGS;Gemeinde;Jahr;Fälle\n03157001;Edemissen;2024;1234\n03157006;Peine;2024;7\n", "1234"),
    ],
)  # fmt: skip
def test_delimiters_encodings_and_numbers(
    name: str, content: str | bytes, expected: str, settings: Settings, tmp_path: Path
) -> None:
    path = file(tmp_path, content)
    found = values(added(settings, path), path)
    assert found["03157001", "2024", "faelle"] == expected


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [
        ("a.csv", "AGS;Gemeinde;Quartal;Fälle\n03157001;Edemissen;I/2024;1\n03157006;Peine;I/2024;2\n", "2024-Q1"),
        (
            "a.csv",
            "AGS;Gemeinde;Stichtag;Fälle\n03157001;Edemissen;30.06.2024;1\n03157006;Peine;30.06.2024;2\n",
            "2024-06-30",
        ),
        ("a.csv", "AGS;Gemeinde;Schuljahr;Fälle\n03157001;Edemissen;2023/24;1\n03157006;Peine;2023/24;2\n", "SY2023"),
        ("a.csv", "Schuljahr 2023/24;;\nAGS;Gemeinde;Fälle\n03157001;Edemissen;1\n03157006;Peine;2\n", "SY2023"),
        ("Zahlen_2024-H1.csv", "AGS;Gemeinde;Fälle\n03157001;Edemissen;1\n03157006;Peine;2\n", "2024-H1"),
        ("Zahlen_2024.csv", "AGS;Gemeinde;Fälle\n03157001;Edemissen;1\n03157006;Peine;2\n", "2024"),
    ],
)
def test_the_period_is_found_where_it_stands(
    name: str, text: str, code: str, settings: Settings, tmp_path: Path
) -> None:
    path = file(tmp_path, text, name)
    assert {key[1] for key in values(added(settings, path), path)} == {code}


@pytest.mark.parametrize(("sign", "regime"), [("*", "ba"), (".", "genesis"), ("/", "genesis"), ("g", "lsn_new")])
def test_signs_tell_their_regime(sign: str, regime: str, settings: Settings, tmp_path: Path) -> None:
    text = (
        f"AGS;Gemeinde;Jahr;Fälle\n03157001;Edemissen;2024;17\n03157006;Peine;2024;18\n03157005;Lengede;2024;{sign}\n"
    )
    contract = added(settings, file(tmp_path, text))
    assert contract.symbol_regime == regime


def test_an_unknown_sign_and_an_empty_cell_are_questions(settings: Settings, tmp_path: Path) -> None:
    text = "AGS;Gemeinde;Jahr;Fälle;Plätze\n03157001;Edemissen;2024;17;n.v.\n03157006;Peine;2024;;18\n03157005;Lengede;2024;3;4\n"
    made = new_dataset(settings, "office", "numbers", file(tmp_path, text))
    assert any("n.v." in point for point in made.open_points)
    assert any("Leere Zellen" in point for point in made.open_points)


def test_breakdowns_in_columns_of_words(settings: Settings, tmp_path: Path) -> None:
    rows = ["AGS;Gemeinde;Jahr;Geschlecht;Alter;Wert"]
    rows += [
        f"03157006;Peine;2024;{sex};{age};{n}"
        for n, (sex, age) in enumerate((s, a) for s in ("insgesamt", "weiblich") for a in ("unter 3", "65 und älter"))
    ]
    path = file(tmp_path, "\n".join(rows) + "\n")
    contract = added(settings, path)
    assert contract.layouts[0].reader == "tidy_csv"
    assert set(values(contract, path)) == {
        ("03157006", "2024", sex, age) for sex in ("total", "female") for age in ("u3", "65plus")
    }


def test_sheets_per_month_with_merged_headers(settings: Settings, tmp_path: Path) -> None:
    rows = [["Kunden"], ["AGS", "Gemeinde", "Kunden", None], [None, None, "insgesamt", "Ausländer"],
            ["03157001", "Edemissen", 40, 7], ["03157006", "Peine, Stadt", 300, "*"]]  # fmt: skip
    path = file(tmp_path, workbook({"Januar 2024": rows, "Februar 2024": rows}), "kunden.xlsx")
    found = values(added(settings, path), path)
    assert found["03157006", "2024-02", "kunden", "total"] == "300"
    assert found["03157006", "2024-01", "kunden", "foreign"] is None


@pytest.mark.parametrize(
    "path", [p for p in sorted(DELIVERIES.iterdir()) if p.suffix in (".csv", ".xlsx") and not p.name.startswith(OWN_READERS)],
    ids=lambda p: p.name,
)  # fmt: skip
def test_the_layouts_of_all_offices_are_recognised(path: Path, settings: Settings) -> None:
    """What would have been proposed for a dataset there is: the same kind of reader, or an honest sentence."""
    if path.name in NOT_RECOGNISED:
        with pytest.raises(TeilhabeError, match=NOT_RECOGNISED[path.name]):
            new_dataset(settings, "office", "numbers", path, dry_run=True)
        return
    made = new_dataset(settings, "office", "numbers", path, dry_run=True)
    assert made.rows and not [f for f in made.findings if f.severity == "critical"]
    contract = load_contract(contract_path(PROJECT / "agencies", path.name.partition(".")[0]))
    kinds = {layout.reader for layout in contract.layouts}
    assert propose(settings, "office__numbers", path).layout["reader"] in kinds | {"table"}


NOT_RECOGNISED = {
    "state_monitor__day_care_origin.csv": "steht weiter oben schon ein anderer Wert",
    "state_statistics__pupils.csv": "steht weiter oben schon ein anderer Wert",
}
"""A column of units beside the numbers, and headers that mean different things below each other: by hand."""


# What is refused


def test_a_list_of_persons_is_refused_and_not_quoted(settings: Settings, tmp_path: Path) -> None:
    text = "AGS;Vorname;Nachname;Geburtsdatum;Jahr;Tage\n03157001;Erika;Muster;01.02.1990;2024;5\n"
    with pytest.raises(ReadingError) as refused:
        new_dataset(settings, "office", "numbers", file(tmp_path, text))
    assert refused.value.finding.rule == "file.person_level"
    assert "Muster" not in str(refused.value)
    assert not contract_path(settings.agencies, "office__numbers").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"%PDF-1.7 nothing", "PDF"),
        ("Gemeinde;Jahr;Fälle\nEdemissen;2024;5\n", "no table was found"),
        ("AGS;Gemeinde;Fälle\n03157001;Edemissen;5\n03157006;Peine;6\n", "no period was found"),
        ("AGS;Gemeinde;Jahr;Wort\n03157001;Edemissen;2024;eins\n03157006;Peine;2024;zwei\n", "no column holds numbers"),
        ("AGS;Gemeinde;Jahr;A;B\n03157001;Edemissen;2024;1,5;1.5\n03157006;Peine;2024;2;3\n", "written in two ways"),
    ],
)
def test_what_cannot_be_a_dataset_is_said_in_one_sentence(
    content: str | bytes, said: str, settings: Settings, tmp_path: Path
) -> None:
    with pytest.raises(TeilhabeError, match=said):
        new_dataset(settings, "office", "numbers", file(tmp_path, content))
    assert not (settings.agencies / "office").exists()


def test_names_the_database_would_cut_off_are_refused(settings: Settings, tmp_path: Path) -> None:
    agency = "library"
    room = naming.LONGEST - len(naming.INDEX_SUFFIX) - len(f"{agency}__")
    assert naming.problem_of_id(f"{agency}__{'x' * room}") is None
    with pytest.raises(
        TeilhabeError, match=r"is too long by 1 characters: 'library__x+_by_delivery' would be the name"
    ):
        new_dataset(settings, agency, "x" * (room + 1), file(tmp_path, WIDE))


@pytest.mark.parametrize(
    ("agency", "dataset"), [("Office", "numbers"), ("office", "../x"), ("office", "a__b"), ("", "x")]
)
def test_names_are_names(agency: str, dataset: str, settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(TeilhabeError, match="is no name"):
        new_dataset(settings, agency, dataset, file(tmp_path, WIDE))
