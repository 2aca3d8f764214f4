"""Roles of offices, and what is said of the address under which people come."""

from __future__ import annotations

import re
from pathlib import Path

import flask
import pytest
from authlib.integrations.flask_client import OAuth
from flask_appbuilder import const

from teilhabe.airflow import configuration, rights
from teilhabe.airflow.rights import COUNTY, HAND_IN, READ, WAIVE, office_role, roles_for
from teilhabe.contract import lookup
from teilhabe.errors import ContractError, TeilhabeError
from teilhabe.pipeline import taking_in
from teilhabe.settings import Settings, get_settings
from tests.conftest import PROJECT, settings_for


@pytest.fixture(scope="module")
def contracts() -> list[taking_in.Contract]:
    return list(lookup.contracts(get_settings({"TEILHABE_PROJECT": str(PROJECT)})).values())


def test_roles_of_offices_hold_no_right_on_any_dag(contracts: list[taking_in.Contract]) -> None:
    made = [
        *roles_for("office", ["civic", "civic__sports_clubs"], contracts),
        *roles_for("municipality", ["03157005"], contracts),
        *roles_for("analyst", [], contracts),
    ]
    assert [role.name for role in made] == ["office_civic", "office_civic__sports_clubs", "sender_03157005", "analyst"]
    for role in made:
        assert all(resource.startswith("Deliveries") or resource == "My Password" for _, resource in role.permissions)
        assert WAIVE not in {action for action, resource in role.permissions if resource.startswith("Deliveries")}
    county = {resource for _, resource in COUNTY.permissions if resource.startswith("DAG:")}
    assert county == {"DAG:approvals"} and "DAGs" not in {resource for _, resource in COUNTY.permissions}


def test_a_right_on_an_agency_is_one_on_its_datasets() -> None:
    assert rights.resources_of("civic__sports_clubs") == (
        "Deliveries",
        "Deliveries:civic",
        "Deliveries:civic__sports_clubs",
    )
    assert office_role("civic").permissions[:2] == ((READ, "Deliveries:civic"), (HAND_IN, "Deliveries:civic"))


@pytest.mark.parametrize(
    ("kind", "whose", "said"),
    [
        ("office", [], "Say for whom"),
        ("office", ["nonsense"], "no agency or dataset nonsense"),
        ("municipality", [], "--for 03157005"),
        ("municipality", ["civic"], "no municipality that a contract names as a sender civic"),
        ("county", ["civic"], "sees all datasets"),
        ("admin", ["civic"], "sees all datasets"),
    ],
)
def test_who_is_not_known_gets_no_account(
    contracts: list[taking_in.Contract], kind: rights.Kind, whose: list[str], said: str
) -> None:
    with pytest.raises(TeilhabeError, match=said):
        roles_for(kind, whose, contracts)


def test_all_roles_have_names_airflow_takes(contracts: list[taking_in.Contract]) -> None:
    roles_for("office", [one.dataset_id for one in contracts], contracts)


# --------------------------------------------------------------------------------------------------- the way people come


@pytest.mark.parametrize(
    ("given", "proxies", "url", "trusted"),
    [
        ("", "", None, ()),
        ("http://10.1.2.3:8080", "", "http://10.1.2.3:8080", ()),
        ("https://daten.landkreis.example/", "", "https://daten.landkreis.example", ("127.0.0.1", "::1")),
        ("https://daten.example:8443", "10.1.0.0/24, ::1", "https://daten.example:8443", ("10.1.0.0/24", "::1")),
    ],
)  # fmt: skip
def test_the_public_address_and_the_proxies_before_it(
    given: str, proxies: str, url: str | None, trusted: tuple[str, ...]
) -> None:
    found = get_settings({"TEILHABE_PUBLIC_URL": given, "TEILHABE_TRUSTED_PROXIES": proxies})
    assert (found.public_url, found.trusted_proxies) == (url, trusted)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("TEILHABE_PUBLIC_URL", "daten.landkreis.example"),
        ("TEILHABE_PUBLIC_URL", "https://me:secret@daten.landkreis.example"),
        ("TEILHABE_PUBLIC_URL", "https://daten.landkreis.example/teilhabe"),
        ("TEILHABE_TRUSTED_PROXIES", "*"),
        ("TEILHABE_TRUSTED_PROXIES", "proxy.landkreis.example"),
        ("TEILHABE_TRUSTED_PROXIES", "10.1.0.5/24"),
    ],
)
def test_an_address_that_is_none_is_told(variable: str, value: str) -> None:
    with pytest.raises(ContractError, match=variable):
        get_settings({variable: value})


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    given = settings_for(tmp_path)
    given.airflow_home.mkdir(parents=True)
    return given


def test_the_countys_own_way_to_sign_in_is_taken_and_left_alone(home: Settings) -> None:
    generated = configuration.login_config(home)
    assert generated.parent == home.airflow_home and "AUTH_TYPE = 1" in generated.read_text()
    own = home.home / "webserver_config.py"
    own.write_text("AUTH_TYPE = 2  # of the county\n")
    assert configuration.login_config(home) == own
    assert own.read_text() == "AUTH_TYPE = 2  # of the county\n"


def test_a_way_to_sign_in_that_is_no_python_is_told_before_anything_starts(home: Settings) -> None:
    (home.home / "webserver_config.py").write_text("AUTH_TYPE = 2\nAUTH_LDAP_SERVER = ldaps://x\n")
    with pytest.raises(ContractError, match=r"webserver_config.py, line 2: this is no Python"):
        configuration.login_config(home)


def examples() -> dict[str, str]:
    text = (PROJECT / "docs" / "cookbook" / "sign-in.md").read_text()
    return {
        block.split("AUTH_TYPE = ")[1].split()[0]: block
        for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    }


@pytest.mark.parametrize("kind", ["AUTH_LDAP", "AUTH_OAUTH"])
def test_the_examples_of_the_handbook_are_taken(kind: str, home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Airflow takes them: run as Python, capital letters are settings."""
    (home.home / "webserver_config.py").write_text(examples()[kind])
    monkeypatch.setattr(Path, "read_text", lambda self: "secret\n")
    config = flask.Config(str(home.home))
    assert config.from_pyfile(str(configuration.login_config(home)))
    assert config["AUTH_TYPE"] == getattr(const, kind) and config["AUTH_USER_REGISTRATION"] is False
    if kind == "AUTH_OAUTH":
        [provider] = config["OAUTH_PROVIDERS"]
        app = flask.Flask("county")
        registry = OAuth(app)
        registry.register(provider["name"], **provider["remote_app"])  # as Flask-AppBuilder does
        assert registry.create_client("keycloak").client_secret == "secret"
