"""The whole line as people use it: real scheduler, real dbt, numbers recomputed here from the delivered files alone."""

from __future__ import annotations

import csv
import email
import email.policy
import io
import json
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import accumulate
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import psutil
import pytest

from demo import faults, files, genesis, monitor, offices, police, register
from demo.county import MUNICIPALITIES, County
from demo.handout import DUPLICATE, REFUSED, Handout
from teilhabe import landing
from teilhabe.airflow import configuration, metadata, services
from teilhabe.airflow.client import AirflowApi
from teilhabe.airflow.rights import ADMIN
from teilhabe.contract.parsing import load_contracts
from teilhabe.decisions.approvals import PUBLISH, REFUSE
from teilhabe.keeping import checking
from teilhabe.server import connecting
from teilhabe.server import embedded as server
from teilhabe.settings import Settings
from tests.conftest import PROJECT, settings_for
from tests.flow import FOREIGNERS, NATURALISATIONS, Flow
from tests.flow import monitor as monitor_table
from tests.patience import within

YEAR = 2023


def _few() -> list[Handout]:
    """Two years of a few of the demo's offices, and five kinds of faulty files."""
    county = County()
    spoilt = {"unbekannter_schluessel", "text_in_zahl", "abgeschnitten", "webseite", "dieselben_bytes"}
    files_of_both_years = [
        make(county, year)
        for year in (YEAR - 1, YEAR)
        for make in (register.fixed_width, genesis.population_nationality, genesis.unemployed_municipal)
    ]
    chosen = [
        *files_of_both_years,
        register.workbook(county, YEAR + 1),
        register.territorial_changes(YEAR),
        genesis.population(county, [YEAR - 1]),
        genesis.population(county, [YEAR - 1, YEAR]),
        *(
            h
            for h in monitor.handouts(county)
            if h.dataset_id in (FOREIGNERS, NATURALISATIONS) and h.received_at.year <= YEAR + 1
        ),
        police.district_csv(county, YEAR),
        police.district_workbook(county, YEAR + 1),
        *(h for h in faults.handouts(county) if h.fault and h.fault.kind in spoilt),
    ]
    return sorted(chosen, key=lambda h: h.received_at)


HANDOUTS = _few()
COUNTIES = ("03101", "03102", "03157")
FAULTY = [h for h in HANDOUTS if h.state == REFUSED]
DROPPED = 20
"""Files of one dataset that lie in the inbox at once."""
UNMOVED = """
    select 'fct_observation_vintage' as name, count(*), max(delivery_id), sum(hashtext(v::text)::numeric)
    from marts.fct_observation_vintage as v
    union all select 'fct_observation', count(*), max(delivery_id), sum(hashtext(o::text)::numeric) from marts.fct_observation as o
    union all select 'rpt_observation', count(*), max(delivery_id), sum(hashtext(r::text)::numeric) from marts.rpt_observation as r
    union all select 'rpt_indicator', count(*), max(delivery_id), sum(hashtext(i::text)::numeric) from marts.rpt_indicator as i
    order by 1
"""


FIGURES = """
    select count(*), sum(hashtextextended(i::text, 0)::numeric)::text as digest from marts.indicator_at_release({release}) as i
"""


@dataclass
class Line:
    """A home driven through the command line only; ``first`` is what the first run said."""

    settings: Settings
    first: subprocess.CompletedProcess[str] = field(init=False)

    def teilhabe(self, *arguments: str, timeout: float = 1200) -> subprocess.CompletedProcess[str]:
        """Pipes on both ends, as a script would: a service that keeps them open would hang this."""
        environment = {**os.environ, "TEILHABE_HOME": str(self.settings.home), "NO_COLOR": "1"}
        return subprocess.run(
            [str(Path(sys.executable).parent / "teilhabe"), *arguments],
            env=environment, capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip

    def sql(self, query: str, role: str = "analyst") -> list[dict[str, Any]]:
        done = self.teilhabe("sql", query, "--as", role, "--json")
        assert done.returncode == 0, done.stderr
        rows: list[dict[str, Any]] = json.loads(done.stdout)
        return rows

    def indicator(self, code: str, territory: str, period: str, **group: str) -> dict[str, Any]:
        where = {"nationality": "total", "sex": "total", "age_band": "total", "category": "total", **group}
        conditions = "".join(f" and {name} = '{value}'" for name, value in where.items())
        rows = self.sql(
            "select value, numerator, denominator, dataset_id, denominator_dataset_id from marts.rpt_indicator"
            f" where indicator_code = '{code}' and territory_code = '{territory}' and period_code = '{period}'{conditions}"
        )
        assert len(rows) == 1, rows
        return rows[0]


@pytest.fixture(scope="module")
def line(make_home: Callable[[], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """One Airflow for this file: the demo's deliveries and twenty more at once have gone through it."""
    line = Line(settings_for(make_home()))
    server.ensure_running(line.settings)  # here, not by `up`: in a process of its own it would wait for disks
    try:
        up = line.teilhabe("up")
        assert up.returncode == 0, up.stderr
        for handout, path in files.write(tmp_path_factory.mktemp("demo"), HANDOUTS):
            landing.hand_in(line.settings, handout.dataset_id, [path], handout.received_at, handout.address)
        drop = tmp_path_factory.mktemp("drop")
        names = [drop / f"datei_{n:02d}.csv" for n in range(DROPPED)]
        for n, path in enumerate(names):
            path.write_bytes(monitor_table([(2005 + m, "Peine", "K03157", 100 + n) for m in range(3)]))
        done = line.teilhabe(
            "deliver", NATURALISATIONS, *map(str, names), "--received-at", "2023-12-12", "--from", "office@example"
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("handed in: ") == DROPPED
        line.first = line.teilhabe("run", "--until-idle")
        yield line
    finally:
        services.down(line.settings)
        server.stop(line.settings)


# What the demo files say, read with nothing of the project


def offences(year: int) -> dict[tuple[str, str], int]:
    """(key, county) -> known cases, from the police's CSV."""
    [handout] = [h for h in HANDOUTS if h.name == f"PKS-{year}-T01-Kreise_csv.csv"]
    rows = list(csv.reader(io.StringIO(handout.content.decode("cp1252")), delimiter=";"))[2:]
    return {(row[0], row[2].zfill(5)): int(row[5].replace(",", "")) for row in rows}


def register_population(year: int) -> dict[str, int]:
    """County -> inhabitants, summed over the municipalities of the fixed-width register."""
    [handout] = [h for h in HANDOUTS if h.name == f"GV100AD_3112{year}.txt"]
    sums: dict[str, int] = defaultdict(int)
    for record in handout.content.decode().splitlines():
        if record.startswith("60"):
            sums[record[10:15]] += int(record[139:150])
    return sums


def genesis_row(name: str, *start: str) -> list[str]:
    """The cells of the one row that starts so."""
    [handout] = [h for h in HANDOUTS if h.name == name and not h.fault]
    rows = [[cell.strip() for cell in line.split(";")] for line in handout.content.decode().splitlines()]
    [found] = [row for row in rows if tuple(row[: len(start)]) == start]
    return found


PKS_YEAR = next(int(h.name[4:8]) for h in HANDOUTS if h.name.endswith("_csv.csv"))


def test_the_run_loads_what_is_good_and_tells_what_was_refused(line: Line) -> None:
    assert line.first.returncode == 3, line.first.stdout + line.first.stderr
    repeated = sum(h.state == DUPLICATE for h in HANDOUTS)
    good = len(HANDOUTS) - len(FAULTY) - repeated + DROPPED
    assert line.first.stdout.strip().splitlines()[-1] == (
        f"{good} loaded, {repeated} duplicates, {len(FAULTY)} refused, 0 failures; warehouse built."
    )
    refused = [text for text in line.first.stdout.splitlines() if text.startswith("refused: ")]
    assert sorted(name for h in FAULTY for name in [h.name] if any(name in text for text in refused)) == sorted(
        h.name for h in FAULTY
    )
    assert "Traceback" not in line.first.stdout + line.first.stderr


def test_every_refusal_was_told_by_the_run_that_made_it(line: Line) -> None:
    """In quiet hours the message is written and waits; else the mail is in the folder before the run has ended."""
    told = line.sql(
        "select m.message_id, m.state, m.not_before > m.composed_at as is_quiet, m.reference, d.file_name, o.finished_at"
        " from ops.delivery as d left join ops.message_delivery as md using (delivery_id)"
        " left join ops.message as m on m.message_id = md.message_id and m.kind = 'verdict'"
        " left join ops.outcome as o on o.delivery_id = d.delivery_id and o.status = 'refused'"
        " where d.state = 'quarantined'",
        role="steward",
    )
    names = {row["file_name"] for row in told}
    assert [h.name for h in FAULTY if not any(name.startswith(h.name) for name in names)] == [], "or a file in it"
    for row in told:
        assert row["message_id"] is not None, row
        if not row["is_quiet"]:
            assert row["state"] == "sent", row
            assert (line.settings.home / "outbox" / row["reference"]).is_file()
    assert "\x1b" not in line.first.stdout, "no terminal, no colours"


@pytest.mark.parametrize("county", COUNTIES)
def test_the_crime_rate_from_police_file_and_register(line: Line, county: str) -> None:
    cases, inhabitants = offences(PKS_YEAR)["890000", county], register_population(PKS_YEAR - 1)[county]
    found = line.indicator("SIO-01", county, str(PKS_YEAR), category="890000")
    assert (found["numerator"], found["denominator"]) == (cases, inhabitants)
    assert found["value"] == pytest.approx(cases / inhabitants * 100_000)
    assert found["denominator_dataset_id"] == "register__municipalities"


def test_the_share_of_foreigners_of_two_columns_of_one_row(line: Line) -> None:
    row = genesis_row(f"12411-03-03-4_{YEAR + 1}.csv", f"31.12.{YEAR}", "03157", "Peine, Landkreis", "Insgesamt")
    total, foreign = int(row[4]), int(row[10])
    found = line.indicator("DEM-02", "03157", f"{YEAR}-12-31")
    assert (found["numerator"], found["denominator"]) == (foreign, total)
    assert found["value"] == pytest.approx(100 * foreign / total)


@pytest.mark.parametrize("code", ["03157", *MUNICIPALITIES])
def test_the_population_of_every_municipality(line: Line, code: str) -> None:
    row = genesis_row(f"12411-01-01-5_{YEAR + 1}.csv", code)
    [found] = line.sql(
        "select value, obs_status from marts.rpt_observation where measure_code = 'population' and sex = 'total' and category = 'total'"
        f" and nationality = 'total' and age_band = 'total' and territory_code = '{code}' and period_code = '{YEAR}-12-31'"
    )
    assert (found["value"], found["obs_status"]) == (int(row[2]), "A")


def test_a_secret_cell_stays_secret(line: Line) -> None:
    """One age group of Hohenhameln stands as a point in the file: neither zero nor a number anywhere."""
    rows = line.sql(
        "select value, obs_status, conf_status from marts.rpt_observation where measure_code = 'unemployed' and conf_status = 'C'"
        f" and territory_code = '03157002' and period_code = '{YEAR}' and not is_derived"
    )
    assert rows == [{"value": None, "obs_status": "Q", "conf_status": "C"}]


def test_both_vintages_of_a_revised_year_are_there(line: Line) -> None:
    handouts = [h for h in HANDOUTS if h.dataset_id == "state_monitor__foreigners"]
    assert len(handouts) >= 2
    values = []
    for handout in handouts:
        rows = list(csv.DictReader(io.StringIO(handout.content.decode("utf-8-sig"))))
        [expected] = [row["Value"] for row in rows if (row["Year"], row["GeoCode"]) == (str(YEAR - 1), "K03157")]
        [found] = line.sql(
            f"select value from marts.observation_as_of('{handout.received_at.isoformat()}')"
            f" where dataset_id = 'state_monitor__foreigners' and territory_code = '03157' and period_code = '{YEAR - 1}-12-31'"
        )
        assert found["value"] == int(expected)
        values.append(found["value"])
    assert len(set(values)) > 1, "the year was revised"


def explained(line: Line) -> str:
    done = line.teilhabe("explain", "SIO-01", "03157", str(PKS_YEAR), "--category", "890000")
    assert done.returncode == 0, done.stderr
    return done.stdout


def digest(name: str) -> str:
    return next(h.sha256 for h in HANDOUTS if h.name == name)[:16]


def test_explain_names_both_terms_and_where_the_cases_come_from(line: Line) -> None:
    cases, inhabitants = offences(PKS_YEAR)["890000", "03157"], register_population(PKS_YEAR - 1)["03157"]
    file = f"PKS-{PKS_YEAR}-T01-Kreise_csv.csv"
    text = explained(line)
    for part in (f"{cases} / {inhabitants} x 100000", file, digest(file), f"{PKS_YEAR - 1}-12-31", "Hinweis"):
        assert part in text, f"{part} is not in:\n{text}"


def test_explain_names_the_file_of_a_sum(line: Line) -> None:
    register = f"GV100AD_3112{PKS_YEAR - 1}.txt"
    text = explained(line)
    assert register in text
    assert digest(register) in text


def leaves(cells: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for cell in cells:
        yield from leaves(cell["parts"]) if cell["is_derived"] else [cell]


@pytest.mark.parametrize(
    ("code", "territory", "period", "at_least"),
    [
        ("DEM-01", "03157006", f"{YEAR}-12-31", 1),
        ("DEM-02", "03157", f"{YEAR}-12-31", 2),
        ("ARB-03", "03157", str(YEAR), 10),
    ],
)
def test_every_number_explain_names_stands_in_that_file_row_and_column(
    line: Line, code: str, territory: str, period: str, at_least: int
) -> None:
    done = line.teilhabe("explain", code, territory, period, "--json")
    assert done.returncode == 0, done.stderr
    [value] = json.loads(done.stdout)["values"]
    found = list(leaves(value["cells"]))
    assert len(found) >= at_least
    for cell in found:
        [file] = {handout.content for handout in HANDOUTS if handout.sha256 == cell["sha256"]}
        row = file.decode("utf-8-sig").splitlines()[cell["row_number"] - 1].split(";")
        assert int(row[cell["column_number"] - 1]) == cell["delivered_value"], cell["cell_id"]


def test_explain_of_what_is_not_there_says_what_there_is(line: Line) -> None:
    done = line.teilhabe("explain", "SIO-01", "03157", "1999")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.strip().count("\n") == 0
    assert str(PKS_YEAR) in done.stderr


def test_status_as_agreed(line: Line) -> None:
    done = line.teilhabe("status", "--json")
    assert done.returncode == 0, done.stderr
    state = json.loads(done.stdout)
    assert set(state) == {
        "deliveries", "due", "incidents", "build", "inbox", "contradictions", "list_contradictions", "is_demo",
        "no_room",
    }  # fmt: skip
    build = state["build"]
    assert (build["state"], build["failed_since"], build["reason"]) == ("succeeded", None, None)
    assert state["inbox"] == [], "everything handed in was fetched"
    assert not state["no_room"]
    assert state["is_demo"] is True, "most files are the demo's"
    assert len(state["deliveries"]) == len(HANDOUTS) + DROPPED
    for entry in state["deliveries"]:
        assert {"dataset_id", "delivery_id", "file", "received_at", "state", "findings"} <= set(entry)
        assert datetime.fromisoformat(entry["received_at"]).tzinfo
        for finding in entry["findings"]:
            assert set(finding) == {"severity", "rule", "message", "rows", "held_back"}
    by_name = {(e["file"], e["state"]) for e in state["deliveries"]}
    assert {(h.name, "quarantined") for h in FAULTY} <= by_name
    assert {entry["dataset_id"] for entry in state["due"]} == set(load_contracts(PROJECT / "agencies"))
    delivered = {entry["dataset_id"] for entry in state["deliveries"] if entry["state"] == "loaded"}
    never = [entry for entry in state["due"] if entry["dataset_id"] not in delivered]
    assert all(entry["state"] in ("due", "overdue", "not_yet_due") for entry in never)
    assert all({"period", "due", "grace_until", "sender"} <= set(entry) for entry in state["due"])


def test_mistakes_on_the_command_line_are_one_sentence(line: Line, tmp_path: Path) -> None:
    for arguments in (
        ["deliver", "no__such_dataset", __file__],
        ["deliver", NATURALISATIONS, str(tmp_path / "nicht-da.csv")],
        ["run", "no__such_dataset"],
        ["sql", "select * from marts.nichts"],
        ["sql", "select * from raw.state_statistics__population"],
        ["sql", "delete from marts.fct_observation"],
    ):
        done = line.teilhabe(*arguments)
        assert done.returncode == 1, arguments
        assert "Traceback" not in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr


def test_sql_as_csv(line: Line) -> None:
    done = line.teilhabe("sql", "select 'a;b' as x, null::int as y, 1.50::numeric as z", "--csv")
    assert done.stdout == "x,y,z\na;b,,1.50\n"
    assert done.stderr == "Demo: erfundene Zahlen\n"


def test_a_person_is_asked_about_warnings_in_airflow(line: Line, tmp_path: Path) -> None:
    """The contract of the dataset says so: the delivery waits, is shown with its warnings, and is loaded after the yes."""
    good = offices.recognition(County(), YEAR)
    path = tmp_path / good.name
    path.write_text("".join(f"{row};auffällig\r\n" for row in good.content.decode().splitlines()), encoding="utf-8")
    line.teilhabe("deliver", offices.RECOGNITION, str(path), "--received-at", f"{YEAR + 1}-04-20")
    waits = line.teilhabe("run", offices.RECOGNITION)
    assert waits.stdout.strip().splitlines()[-1].startswith("0 loaded, 0 duplicates, 0 refused, 0 failures"), waits
    state = f"select state, delivery_id from ops.delivery where dataset_id = '{offices.RECOGNITION}'"
    [delivery] = line.sql(state, "loader")
    assert delivery["state"] == "validated"

    with AirflowApi(line.settings, account=ADMIN) as api:
        api.trigger("approvals")
        question = within(120, lambda: questions(api))[0]
        assert question["options"] == [PUBLISH, REFUSE]
        assert question["subject"].endswith(f"„{good.name}“ trotz Warnungen übernehmen?")
        assert "auffällig" in question["body"]
        answer = f"select answer, answered_by from ops.approval where delivery_id = {delivery['delivery_id']}"

        def answered() -> list[dict[str, Any]]:
            """Airflow takes an answer of the first second for a lost task, and asks again; people are not that quick."""
            for asked in questions(api):
                where = asked["task_instance"]
                if where["state"] == "awaiting_input" and not asked["response_received"]:
                    run = f"/dags/approvals/dagRuns/{quote(where['dag_run_id'], safe='')}"
                    path = f"{run}/taskInstances/publish_anyway/{where['map_index']}/hitlDetails"
                    api._call("PATCH", path, json={"chosen_options": [PUBLISH], "params_input": {}})
            return line.sql(f"{answer} and answer is not null", "loader")

        within(120, answered)
    assert line.sql(answer, "loader") == [{"answer": "publish", "answered_by": ADMIN}]
    assert line.teilhabe("run", offices.RECOGNITION).returncode == 0
    assert [row["state"] for row in line.sql(state, "loader")] == ["loaded"]


def questions(api: AirflowApi) -> list[dict[str, Any]]:
    return list(api._pages("/dags/approvals/dagRuns/~/hitlDetails", "hitl_details"))


def test_runs_of_the_scheduler(line: Line) -> None:
    with AirflowApi(line.settings) as api:
        assert api.import_errors() == []
        runs = {run["dag_run_id"]: run for run in api.dag_runs()}
        faulty = {f"deliver__{h.dataset_id}" for h in FAULTY}
        failed = {run["dag_id"] for run in runs.values() if run["state"] == "failed"}
        assert failed == faulty, "a DAG run is red exactly where a delivery was refused"
        for dag_id in faulty:
            for run in (r for r in runs.values() if r["dag_id"] == dag_id and r["state"] == "failed"):
                states = {t["task_id"]: t["state"] for t in api.task_instances(dag_id, run["dag_run_id"])}
                assert states["refusals"] == "failed"
                assert {name for name, state in states.items() if state == "failed"} == {"refusals"}
        assert "success" in {run["state"] for run in runs.values() if run["dag_id"] == "warehouse"}


def test_the_executor_is_handed_no_more_than_it_runs(line: Line) -> None:
    """More would fill the pipe to its workers, where the scheduler stands still until it is taken for dead."""
    with connecting.connect("airflow", line.settings) as connection:
        rows = connection.execute(
            "select queued_dttm, end_date from task_instance where queued_dttm is not null and end_date is not null"
        ).fetchall()
    changes = sorted([(queued, 1) for queued, _ in rows] + [(end, -1) for _, end in rows])
    assert len(rows) > 2 * metadata.SLOTS
    assert max(accumulate(change for _, change in changes)) <= metadata.SLOTS


def test_twenty_files_are_one_run(line: Line) -> None:
    rows = line.sql(
        "select o.run_id, count(*) as n from ops.outcome as o inner join ops.delivery as d using (delivery_id)"
        f" where d.dataset_id = '{NATURALISATIONS}' and o.step = 'validate' group by 1",
        "loader",
    )
    assert [row["n"] for row in rows] == [DROPPED + sum(h.dataset_id == NATURALISATIONS for h in HANDOUTS)]
    assert rows[0]["run_id"]


def test_a_second_run_changes_nothing(line: Line) -> None:
    before = line.sql(UNMOVED)
    builds = line.sql("select count(*) as n from ops.build", "loader")
    done = line.teilhabe("run", "--until-idle")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().splitlines()[-1] == "0 loaded, 0 duplicates, 0 refused, 0 failures; warehouse unchanged."
    assert line.sql(UNMOVED) == before
    assert all(row["count"] for row in before)
    assert line.sql("select count(*) as n from ops.build", "loader") == builds


@pytest.mark.parametrize(
    "path",
    ["/api/v2/dags", "/api/v2/connections", "/api/v2/dags/warehouse/dagRuns", "/ui/dags", "/api/v2/importErrors"],
)
def test_a_stranger_sees_nothing(line: Line, path: str) -> None:
    with httpx.Client(base_url=configuration.info(line.settings).ui_url, trust_env=False, timeout=30) as client:
        assert client.get(path).status_code == 401
        assert client.get(path, headers={"Authorization": "Bearer x.y.z"}).status_code in (401, 403)
        assert client.post("/auth/token", json={"username": "admin", "password": "admin"}).status_code == 401


def test_a_backup_under_load_becomes_a_home_equal_to_the_digit(
    line: Line, make_home: Callable[[], Path], tmp_path: Path
) -> None:
    """Taken while Airflow judges and loads. What was not taken in yet is taken in by the new home: nothing is lost or doubled."""
    into = make_home()
    place = into.parent / "backup"
    paths = [tmp_path / f"monat_{n:02d}.csv" for n in range(DROPPED)]
    for n, path in enumerate(paths):
        path.write_bytes(monitor_table([(2005 + m, "Peine", "K03157", 500 + n) for m in range(3)]))
    line.teilhabe(
        "deliver", NATURALISATIONS, *map(str, paths), "--received-at", "2024-02-12", "--from", "office@example"
    )
    names = f"file_name like 'monat_%' and dataset_id = '{NATURALISATIONS}'"
    command = [str(Path(sys.executable).parent / "teilhabe"), "run", "--until-idle"]
    environment = {**os.environ, "TEILHABE_HOME": str(line.settings.home), "NO_COLOR": "1"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as running:
        within(300, lambda: line.sql(f"select 1 from ops.delivery where {names}", "loader"))
        assert running.poll() is None, "it is still at work"
        made = line.teilhabe("backup", str(place))
        said, _ = running.communicate()
    assert made.returncode == 0 and running.returncode in (0, 3), (made, said)
    new = settings_for(into)
    try:
        done = line.teilhabe("restore", str(place), "--into", str(into))
        assert done.returncode == 0 and "every table is equal" in done.stdout, done
        restored = Line(new)
        what = "delivery_id, dataset_id, file_name, sha256, received_at, received_from"
        deliveries = restored.sql(f"select {what} from ops.delivery order by 1", "loader")
        assert deliveries == line.sql(
            f"select {what} from ops.delivery where delivery_id = any(array{[d['delivery_id'] for d in deliveries]}) order by 1",
            "loader",
        )
        releases = restored.sql("select * from marts.release order by release_id")
        known = {row["release_id"]: row for row in line.sql("select * from marts.release")}
        assert releases and all(known[row["release_id"]] == row for row in releases)
        for row in releases:
            query = FIGURES.format(release=row["release_id"])
            [figures] = restored.sql(query)
            assert [figures] == line.sql(query) and figures["count"]
        # The manifest may know of more: it lies in the archive, which is copied last.
        checked = {one.subject: one.problems for one in checking.check(new, full=True)}
        assert checked["archive"] == checked["raw rows"] == checked["marts"] == []
        Flow(new, tmp_path).run(NATURALISATIONS)
        loaded = f"""
            select d.file_name, d.sha256, d.state, count(r.*) as rows, sum(hashtextextended(r.value || r.period_code, 0)::numeric)::text
            from ops.delivery as d left join raw.{NATURALISATIONS} as r on r._delivery_id = d.delivery_id
            where {names} and d.state <> 'duplicate' group by 1, 2, 3 order by 1
        """
        assert restored.sql(loaded, "loader") == line.sql(loaded, "loader")
        assert len(restored.sql(loaded, "loader")) == DROPPED
    finally:
        server.stop(new)


def test_a_full_archive_is_said_soon_and_the_next_run_goes_on(line: Line, tmp_path: Path) -> None:
    """For this test the archive is a small file system that somebody fills."""
    archive = line.settings.home / "archive"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(archive)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("this account may not mount a file system")
    try:
        filler = archive / "fills"
        with suppress(OSError), filler.open("wb") as out:
            while True:
                out.write(b"x" * 65536)
                out.flush()
        path = tmp_path / "wenn_platz_ist.csv"
        path.write_bytes(monitor_table([(2005 + m, "Peine", "K03157", 900) for m in range(3)]))
        line.teilhabe("deliver", FOREIGNERS, str(path), "--received-at", "2024-03-12", "--from", "office@example")
        full = line.teilhabe("run", "--until-idle")
        assert full.returncode == 1 and "Der Speicherplatz ist voll" in full.stdout + full.stderr, full
        assert "Der Speicherplatz ist voll" in line.teilhabe("status").stdout
        told = [text for one in line.settings.home.glob("outbox/*.eml") if "Speicherplatz" in (text := as_text(one))]
        assert len(told) == 1, "the operators hear of it once"
        states = f"select state from ops.delivery where file_name = '{path.name}'"
        assert line.sql(states, "loader") == []
        filler.unlink()
        done = line.teilhabe("run", "--until-idle")
        assert done.returncode == 0, done
        assert line.sql(states, "loader") == [{"state": "loaded"}]
        assert "Der Speicherplatz ist voll" not in line.teilhabe("status").stdout
    finally:
        kept = tmp_path / "kept"
        shutil.copytree(archive, kept, ignore=shutil.ignore_patterns("fills"))
        subprocess.run(["umount", "-l", str(archive)], check=True)
        shutil.copytree(kept, archive, dirs_exist_ok=True)


def as_text(message: Path) -> str:
    parsed = email.message_from_bytes(message.read_bytes(), policy=email.policy.default)
    body = parsed.get_body(("plain",))
    return f"{parsed['subject']}\n{body.get_content() if body else ''}"


def test_down_leaves_no_process(line: Line) -> None:
    """The last test of this file: afterwards nothing of this home runs any more."""
    assert of_this_home(line.settings)
    done = line.teilhabe("down")
    assert (done.returncode, done.stdout.strip().splitlines()[-1]) == (0, "Stopped.")
    assert of_this_home(line.settings) == []
    assert not server.is_running(line.settings)


def of_this_home(settings: Settings) -> list[str]:
    found = []
    for process in psutil.process_iter():
        try:
            text = " ".join(process.cmdline()) + " ".join(f"{k}={v}" for k, v in process.environ().items())
            if str(settings.home) in text and process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found
