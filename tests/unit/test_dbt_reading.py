"""What dbt has read of the project at set-up serves the first build of every home, wherever its server is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from teilhabe.building import building, dbt_kept, dbt_run


def test_a_home_begins_with_what_set_up_has_read_and_keeps_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kept, target = tmp_path / "kept" / dbt_run.READ, tmp_path / "target"
    monkeypatch.setattr(dbt_kept, "kept", lambda: kept)
    building._begin_with_what_was_read(target)
    assert not target.exists(), "set-up has kept nothing: dbt reads"
    dbt_kept.place(Path(__file__), kept)
    building._begin_with_what_was_read(target)
    assert (target / dbt_run.READ).read_bytes() == Path(__file__).read_bytes()
    (target / dbt_run.READ).write_text("read since")
    building._begin_with_what_was_read(target)
    assert [(path.name, path.read_text()) for path in target.iterdir()] == [(dbt_run.READ, "read since")]


_ADDRESSES = """
from dbt.adapters.postgres.connections import PostgresCredentials
from teilhabe.building import dbt_run

dbt_run._read_alike_for_all_servers()
for host, port, database in (("127.0.0.1", 17432, "teilhabe"), ("db.example", 5432, "teilhabe"), ("127.0.0.1", 17432, "other")):
    login = {"user": "teilhabe_transformer", "password": f"of {host}", "schema": "intermediate"}
    print(list(PostgresCredentials(host=host, port=port, database=database, **login).connection_info()))
"""


def test_another_server_is_no_reason_to_read_anew_another_database_is() -> None:
    """dbt reads all of the project anew where ``connection_info`` differs."""
    done = subprocess.run([sys.executable, "-c", _ADDRESSES], capture_output=True, text=True, check=True)
    here, elsewhere, other = done.stdout.splitlines()
    assert here == elsewhere != other
