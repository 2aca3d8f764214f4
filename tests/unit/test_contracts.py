"""A contract is refused with file and key when it says something the reader would not do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from teilhabe.contract import naming
from teilhabe.contract.parsing import SUFFIX, load_contract, load_contracts, parse_contract
from teilhabe.errors import ContractError
from teilhabe.reading.cells.labels import normalise

PROJECT = Path(__file__).resolve().parents[2]
AGENCIES = PROJECT / "agencies"
CONTRACT = AGENCIES / "state_statistics" / "population.odcs.yaml"
TEXT = CONTRACT.read_text(encoding="utf-8")

DOCUMENTED = PROJECT / "docs" / "reference" / "contract.md"

OBSERVATION = {"territory_code", "territory_name", "period_code", "value", "obs_status", "conf_status"}


def test_all_contracts_load_in_order() -> None:
    contracts = load_contracts(AGENCIES)
    assert len(contracts) >= 24
    assert list(contracts) == sorted(contracts)
    for dataset_id, contract in contracts.items():
        assert dataset_id == f"{contract.path.parent.name}__{contract.path.name.removesuffix(SUFFIX)}"
        assert contract.office and "@" in contract.contact and contract.contact.endswith(".example")
        assert contract.licence and contract.attribution
        if contract.dataset_id.split("__")[0] != "register":
            assert set(contract.column_names) >= OBSERVATION
            assert contract.measures, dataset_id


def test_a_contract_is_read_again_when_its_file_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "state_statistics" / CONTRACT.name
    with pytest.raises(ContractError, match="cannot be read"):
        load_contract(path)
    path.parent.mkdir()
    path.write_text(TEXT, encoding="utf-8")
    first = load_contract(path)
    assert load_contract(path) is first
    path.write_text(TEXT.replace(first.title_de, f"{first.title_de} (neu)"), encoding="utf-8")
    assert load_contract(path).title_de == f"{first.title_de} (neu)"
    path.write_text(f"{TEXT}\nkeine: so\n", encoding="utf-8")
    with pytest.raises(ContractError, match="keine"):
        load_contract(path)


def test_a_contract_says_what_others_need() -> None:
    contract = load_contract(CONTRACT)
    assert contract.title_de.startswith("Bevölkerung der Gemeinden nach Geschlecht")
    assert contract.column_names == [
        "territory_code", "territory_name", "period_code", "nationality", "sex", "age_band",
        "value", "obs_status", "conf_status",
    ]  # fmt: skip
    assert contract.unique_key == ["territory_code", "period_code", "nationality", "sex", "age_band"]
    assert (contract.secrecy_method, contract.symbol_regime) == ("ckm", "genesis")
    assert (contract.calendar.frequency, contract.calendar.lag_days, contract.calendar.reference) == (
        "yearly",
        300,
        "12-31",
    )
    assert contract.measures == ["population"]
    sex = contract.columns[4]
    assert (sex.logical_type, sex.required, sex.office_term) == ("string", True, "Geschlecht")


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("status: active", "status: active\nstate: active", "state: is an unknown key"),
        ("  purpose:", "  porpose: x\n  purpose:", "description.porpose: is an unknown key"),
        ("reader: genesis_csv", "reader: genesis_xml", "files[0]"),
        ("value_columns: 3", "value_columns: 3\n          wide: true", "wide: is an unknown key"),
        ("value_columns: 3", "value_columns: drei", "value_columns"),
        ("secrecy: ckm", "secrecy: secret", "secrecy"),
        ("regime: genesis", "regime: guess", "symbols.regime"),
        ("{sex: male}", "{sex: man}", "labels.'männlich'.sex: must be one of"),
        ("{sex: male}", "{gender: male}", "gender: is no column"),
        ("{measure_code: population}", "{measure_code: population, sex: total}", "constants.sex: is a column"),
        ("id: state_statistics__population", "id: state_statistics__people", "id: must be"),
        ("- name: state_statistics__population", "- name: people", "schema[0].name"),
        ("apiVersion: v3.1.0", "apiVersion: v2.2.0", "apiVersion"),
        ("type: local", "type: pigeon", "servers[0].type"),
        ("property: frequency, value: 1, unit: y", "property: frequency, value: 2, unit: y", "frequency"),
        ("property: latency, value: 300, unit: d", "property: latency, value: 9, unit: months", "latency"),
        ("type: attribution", "type: author", "attribution"),
        ("logicalType: number", "logicalType: float", "logicalType"),
        ("- property: calendar", "- property: diary", "customProperties[0].property"),
        ("- property: mendable\n    value: false", "- property: mendable\n    value: nie", "customProperties[1].value"),
        ("{name: obs_status,", "{name: obs_state,", "obs_state"),
        ("measure_code: population", "measure_code: inhabitants", "constants.measure_code"),
        ("Insgesamt: {sex: total}", "männlich: {sex: total}", "is there twice"),
        ("kind: DataContract", "kind: [", "YAML"),
    ],
)
def test_a_wrong_contract_names_file_and_key(old: str, new: str, key: str) -> None:
    assert old in TEXT
    with pytest.raises(ContractError) as caught:
        parse_contract(TEXT.replace(old, new, 1), CONTRACT)
    message = str(caught.value)
    assert message.startswith(f"{CONTRACT}: ")
    assert key in message
    assert "\n" not in message


def test_an_id_whose_relations_the_database_would_cut_off_is_refused() -> None:
    """PostgreSQL cuts names at 63 bytes in silence: two datasets would share a table. So everything that loads contracts says it."""
    agency = CONTRACT.parent.name
    room = naming.LONGEST - len(naming.INDEX_SUFFIX) - len(f"{agency}__")
    for length, is_right in ((room, True), (room + 1, False)):
        path = CONTRACT.with_name(f"{'x' * length}.odcs.yaml")
        text = TEXT.replace("state_statistics__population", f"{agency}__{'x' * length}")
        if is_right:
            assert parse_contract(text, path).dataset == "x" * length
        else:
            with pytest.raises(ContractError, match=r": id: '.*' is too long by 1 characters"):
                parse_contract(text, path)


def test_age_bands_are_text_and_have_a_form() -> None:
    path = AGENCIES / "state_monitor" / "foreigners_age.odcs.yaml"
    text = path.read_text(encoding="utf-8")
    unquoted = text.replace('"6_14"', "6_14")
    assert unquoted != text
    assert parse_contract(unquoted, path).layouts[0].labels["6 - 15"] == {"age_band": "6_14"}
    with pytest.raises(ContractError, match="must look like u3"):
        parse_contract(text.replace('"6_14"', "6-14"), path)


def test_the_documented_contract_is_a_contract() -> None:
    """The annotated example of the reference is loaded as it is printed there."""
    text = DOCUMENTED.read_text(encoding="utf-8")
    found = re.search(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert found
    contract = parse_contract(found[1], AGENCIES / "example_office" / "example.odcs.yaml")
    documented = {layout.reader for layout in contract.layouts}
    assert documented == {"genesis_csv", "ffcsv", "tidy_csv", "table", "form", "ba_workbook", "stacked_table"}
    assert [sender.territory_code for sender in contract.senders] == ["03157006", "03157007"]
    assert list(contract.definitions) == ["Betriebsbereite Plätze"]
    mailbox = contract.servers[1]
    assert (mailbox.type, mailbox.kind, mailbox.connection) == ("custom", "imap", "teilhabe_mail")


def documented(old: str, new: str) -> str:
    """The documented contract with one place changed."""
    found = re.search(r"```yaml\n(.*?)```", DOCUMENTED.read_text(encoding="utf-8"), re.DOTALL)
    assert found and old in found[1], old
    return found[1].replace(old, new, 1)


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ('period: "{month}"', 'period: "{moon}"', "must be made of one of"),
        ('period: "{month}"', 'period: "2024"', "must be made of one of"),
        ("period_in: file_name", "period_in: mail", "period_in"),
        ('since: "2024"', 'since: "im Jahr 2024"', "must be a period like"),
        ('{since: "2024"}', "{}", "needs since, until or both"),
        ("Opfer: {since", "Zeugen: {since", "'Zeugen' is neither a label nor a column's header"),
        ("sheets: each", "sheets: first", "need sheets: each"),
        ("Jahrgang 8 insgesamt: [Oberschule]", "Jahrgang 8 insgesamt: [Realschule]", "none of the sheet_labels"),
        ("fields: {territory_code: [Gemeindeschlüssel],", "fields: {", "territory_code is missing"),
        ("table_columns: [kommunal untergebracht]", "table_columns: [Zelte]", "none of the labels"),
        (
            "Zahl: {Wahlberechtigte: {measure_code: eligible_voters}}",
            "Zahl: {Wahlberechtigte: {measure: x}}",
            "measure",
        ),
        ("Arbeitslose: {measure_code: unemployed}", "Arbeitslose: {measure_code: unemployedd}", "must be one of"),
        (
            "property: sender_pattern",
            "property: sender",
            "must be one of connection, pattern, sender_pattern, kind, authentication_server",
        ),
        ("value: teilhabe_mail", "value: 7", "must be a text"),
        ('territory_code: "03157007", ', 'territory_code: "03157006", ', "is there twice"),
        ('territory_code: "03157007", ', 'territory_code: "3157007", ', "territory_code"),
        ("contact: statistik@vechelde.example", "contact: Rathaus", "contact"),
        ('Betriebsbereite Plätze: "', 'Eintritte: "', "definitions: 'Eintritte' is no label or column of any layout"),
    ],
)
def test_a_wrong_new_key_names_file_and_key(old: str, new: str, key: str) -> None:
    path = AGENCIES / "example_office" / "example.odcs.yaml"
    with pytest.raises(ContractError) as caught:
        parse_contract(documented(old, new), path)
    assert str(caught.value).startswith(f"{path}: ")
    assert key in str(caught.value)


def test_a_council_is_elected_once_in_a_term() -> None:
    changed = documented("{property: frequency, value: 1, unit: y}", "{property: frequency, value: 5, unit: y}")
    assert parse_contract(changed, AGENCIES / "example_office" / "example.odcs.yaml").calendar.frequency == "per_term"
    guidance = documented('reference: "12-31"', "reference: guidance_year")
    contract = parse_contract(guidance, AGENCIES / "example_office" / "example.odcs.yaml")
    assert contract.calendar.reference == "guidance_year"


def test_no_text_means_two_things() -> None:
    """Two labels that a reader takes for the same text must say the same."""
    for contract in load_contracts(AGENCIES).values():
        for layout in contract.layouts:
            blocks = [block.labels for block in getattr(layout, "blocks", {}).values() if block]
            for labels in (layout.labels, *blocks):
                meanings: dict[str, object] = {}
                for text, coordinates in labels.items():
                    said = meanings.setdefault(normalise(text), coordinates)
                    assert said == coordinates, (contract.dataset_id, layout.name, text)


def test_published_tables_will_not_be_mended() -> None:
    """What an office of the county made for the county it can make again."""
    offices = {path.parent.name: load_contract(path).mendable for path in AGENCIES.glob("*/*.odcs.yaml")}
    assert not offices["state_monitor"] and not offices["state_statistics"]
    assert offices["jobcentre"] and offices["housing"]
    assert not load_contract(AGENCIES / "police" / "offences_district.odcs.yaml").mendable
    assert load_contract(AGENCIES / "police" / "offences_municipal.odcs.yaml").mendable
