"""``make demo``: the main job on invented deliveries, through the real scheduler, in a few minutes.

Repeating it changes nothing: the same bytes are recorded as duplicates.
"""

from __future__ import annotations

import sys
import time

from rich.table import Table

from demo import files
from teilhabe import landing, loading, pipeline, warehouse
from teilhabe.airflow import running, services
from teilhabe.cli import dsn_without_password, out, prepare, progress_lines
from teilhabe.errors import TeilhabeError
from teilhabe.settings import Settings, get_settings


def main() -> int:
    started = time.monotonic()
    settings = get_settings()
    out.rule("teilhabe demo: invented figures, real pipeline")
    try:
        report = _run(settings)
    except TeilhabeError as error:
        out.print(f"[red]{error}[/red]", highlight=False)
        return 1
    for sentence in report.failed:
        out.print(f"[red]failed:[/red] {sentence}", highlight=False)
    _show_indicators(settings)
    _show_deliveries(settings)
    surprises = _surprises(settings)
    for sentence in surprises:
        out.print(f"[red]unexpected:[/red] {sentence}", highlight=False)
    _show_next(settings)
    out.print(f"Done in {time.monotonic() - started:.0f} s.")
    return 1 if report.failed or surprises else 0


def _run(settings: Settings) -> running.RunReport:
    with progress_lines("Demo") as tell:
        prepare(settings, tell)
        written = files.write(settings.work / "demo")
        for handout, path in written:
            pipeline.contract(settings, handout.dataset_id)
            landing.hand_in(settings, handout.dataset_id, [path], handout.received_at, "demo@teilhabe.example")
        tell(f"{len(written)} demo files handed in")
        services.up(settings, tell)
        return running.run(settings, [], until_idle=True, tell=tell)


def _show_indicators(settings: Settings) -> None:
    query = """
        select distinct on (i.indicator_code) i.indicator_code, i.indicator_name_de, i.period_code, i.value, i.unit,
            i.numerator, i.denominator, d.file_name, i.known_from
        from marts.rpt_indicator as i
        inner join marts.dim_delivery as d on i.delivery_id = d.delivery_id
        where i.territory_code = '03157' and i.nationality = 'total' and i.sex = 'total' and i.age_band = 'total'
            and i.category = 'total' or i.territory_code = '03157' and i.nationality = 'foreign' and i.sex = 'total'
            and i.age_band = 'total' and i.category = 'total' and i.indicator_code in ('DEM-02', 'SIO-05')
        order by i.indicator_code, i.period_code desc
    """
    table = Table("code", "indicator", "period", "value", "unit", "numerator", "denominator", "source", "known from",
                  title="Landkreis Peine – Demo: erfundene Zahlen")  # fmt: skip
    with warehouse.connect("analyst", settings) as conn:
        for code, name, period, value, unit, numerator, denominator, source, known in conn.execute(query):
            figures = [_number(value, 2), unit, _number(numerator, 0), _number(denominator, 0)]
            table.add_row(code, name, period, *figures, source, f"{known:%Y-%m-%d}")
    out.print(table)


def _show_deliveries(settings: Settings) -> None:
    table = Table("file", "state", "what the office is told", title="Refused and repeated deliveries")
    with loading.session(settings) as conn:
        rows = conn.execute(
            """
            select d.file_name, d.state, coalesce(
                (select f.message from ops.finding as f where f.delivery_id = d.delivery_id
                 order by array_position(array['critical', 'warning', 'info'], f.severity), f.finding_id limit 1),
                'bytegleich mit Lieferung ' || d.duplicate_of)
            from ops.delivery as d where d.state in ('quarantined', 'duplicate') order by d.delivery_id
            """
        ).fetchall()
    for row in rows:
        table.add_row(*row)
    out.print(table)


def _surprises(settings: Settings) -> list[str]:
    """What the demo promises: good files are in, each faulty one was refused or recognised as a repetition."""
    with loading.session(settings) as conn:
        states = {(name, sha): state for name, sha, state in conn.execute(
            "select distinct on (file_name, sha256) file_name, sha256, state from ops.delivery order by file_name, sha256, delivery_id"
        )}  # fmt: skip
    sentences = []
    for handout in files.handouts():
        state = states.get((handout.name, handout.sha256), "missing")
        expected = {None: "loaded", files.REPEATED: "duplicate"}.get(handout.fault, "quarantined")
        if state != expected:
            sentences.append(f"{handout.name} is {state}, not {expected}")
    return sentences


def _show_next(settings: Settings) -> None:
    info = services.info(settings)
    out.print(f"""
Airflow     {info.ui_url}  user {info.user}, password in {info.password_file}
Warehouse   {dsn_without_password(settings)}  password in {settings.secrets}/warehouse_analyst.password
Both keep running; `make down` stops them.

Try next:
  .venv/bin/teilhabe status
  .venv/bin/teilhabe explain SIO-01 03157 2019
  .venv/bin/teilhabe sql "select * from marts.rpt_indicator where territory_code = '03157' and category = 'total'"
  .venv/bin/teilhabe sql "select value from marts.observation_as_of('2020-06-01') where measure_code = 'foreigners_register'"
  .venv/bin/teilhabe deliver state_statistics__population YOUR-FILE.csv && .venv/bin/teilhabe run --until-idle
""", highlight=False)  # fmt: skip


def _number(value: object, digits: int) -> str:
    return "" if value is None else f"{value:,.{digits}f}"


if __name__ == "__main__":
    sys.exit(main())
