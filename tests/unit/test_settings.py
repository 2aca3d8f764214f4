"""Settings come from the environment, and secrets are made once."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest

from teilhabe.errors import ContractError
from teilhabe.settings import get_settings, prepare_home, secret


def test_without_a_word_everything_lies_in_var_of_the_checkout() -> None:
    settings = get_settings({})
    assert (settings.project / "pyproject.toml").is_file()
    assert settings.home == settings.project / "var"
    assert settings.archive_url == f"file://{settings.home}/archive"
    assert settings.warehouse_url is None
    assert settings.dags == settings.project / "dags"


def test_a_home_is_taken_from_the_environment(tmp_path: Path) -> None:
    settings = get_settings({"TEILHABE_HOME": str(tmp_path / "x"), "TEILHABE_ARCHIVE_URL": "s3://bucket/archive"})
    assert settings.secrets == tmp_path / "x" / "secrets"
    assert settings.archive_url == "s3://bucket/archive"
    assert not settings.home.exists(), "looking creates nothing"


@pytest.mark.parametrize(
    ("variables", "address"),
    [
        ({"TEILHABE_WAREHOUSE_URL": "postgresql://u:p@db:5433/wh"}, "postgresql://u:p@db:5433/wh"),
        ({"TEILHABE_WAREHOUSE_URL": "postgres://u@db/wh"}, "postgresql://u@db/wh"),
        ({"AIRFLOW_CONN_WAREHOUSE": "postgres://u:p@db/wh?sslmode=require"}, "postgresql://u:p@db/wh?sslmode=require"),
        (
            {
                "AIRFLOW_CONN_WAREHOUSE": '{"conn_type": "postgres", "host": "db", "login": "u", "password": "p@/",'
                ' "port": 5433, "schema": "wh", "extra": {"sslmode": "require"}}'
            },
            "postgresql://u:p%40%2F@db:5433/wh?sslmode=require",
        ),
        (
            {"TEILHABE_WAREHOUSE_URL": "postgresql://first/x", "AIRFLOW_CONN_WAREHOUSE": "postgres://second/x"},
            "postgresql://first/x",
        ),
    ],
)
def test_the_address_of_a_server_of_your_own(variables: dict[str, str], address: str) -> None:
    assert get_settings(variables).warehouse_url == address


@pytest.mark.parametrize("address", ["mysql://u@db/wh", "db:5432", '{"conn_type": "mysql", "host": "db"}', "{broken"])
def test_another_kind_of_address_is_refused_without_repeating_it(address: str) -> None:
    with pytest.raises(ContractError, match="AIRFLOW_CONN_WAREHOUSE") as caught:
        get_settings({"AIRFLOW_CONN_WAREHOUSE": address})
    assert address not in str(caught.value), "the address may hold a password"


def test_a_secret_is_made_once_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    settings = get_settings({"TEILHABE_HOME": str(tmp_path / "home")})
    values: list[str] = []
    threads = [threading.Thread(target=lambda: values.append(secret(settings, "x"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(values) == 8 and len(set(values)) == 1 and len(values[0]) >= 24
    assert stat.S_IMODE((settings.secrets / "x").stat().st_mode) == 0o600
    assert stat.S_IMODE(settings.secrets.stat().st_mode) == 0o700
    assert [path.name for path in settings.secrets.iterdir()] == ["x"]


def test_preparing_a_home_narrows_secrets_and_widens_nothing(tmp_path: Path) -> None:
    settings = get_settings({"TEILHABE_HOME": str(tmp_path / "home")})
    settings.home.mkdir(mode=0o700)
    settings.secrets.mkdir(mode=0o755)
    prepare_home(settings)
    assert stat.S_IMODE(settings.home.stat().st_mode) == 0o700
    assert stat.S_IMODE(settings.secrets.stat().st_mode) == 0o700
    assert stat.S_IMODE(settings.logs.stat().st_mode) == 0o700, "what logs say is for nobody else on the machine"
