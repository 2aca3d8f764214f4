"""``make demo``: 36 months of a county office's invented deliveries, through the real scheduler, in a few minutes.

Repeating it changes nothing: the same bytes are recorded as duplicates.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from rich.table import Table

from demo import files
from demo.county import COUNTY, MUNICIPALITIES
from demo.handout import LOADED, Handout
from teilhabe import landing
from teilhabe.airflow import configuration, running, services
from teilhabe.cli.common import dsn_without_password, out, prepare, progress_lines
from teilhabe.errors import TeilhabeError
from teilhabe.messages.outbox import FOLDER
from teilhabe.messages.policy import FILE
from teilhabe.raw import loading
from teilhabe.server import connecting
from teilhabe.settings import Settings, get_settings

_NOT_BY_MUNICIPALITY = ("ARB-05", "SPB-01", "SPB-02")
"""The catalogue wants them by municipality; the state office delivers them by county only."""
_PERIOD_SHOWN = "2024"
"""The last year for which every office of the demo has delivered."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m demo",
        description="Run the invented deliveries of a county's offices, 2023-2026, through the real pipeline.",
    )
    parser.add_argument(
        "--write", type=Path, metavar="DIR", help="only write the files below DIR, one folder each, and stop"
    )
    wanted = parser.parse_args(arguments)
    try:
        if wanted.write:
            written = files.write(wanted.write)
            out.print(f"{len(written)} demo files written below {wanted.write}", highlight=False)
            return 0
        return _demo(get_settings())
    except TeilhabeError as error:
        out.print(f"[red]{error}[/red]", highlight=False)
        return 1


def _demo(settings: Settings) -> int:
    started = time.monotonic()
    out.rule("teilhabe demo: invented figures, real pipeline")
    # In a process of its own, and begun first: they are written on one core while the other sets up.
    with ProcessPoolExecutor(1) as beside, progress_lines("Demo") as tell:
        made = beside.submit(files.handouts)
        prepare(settings, tell)
        handouts = made.result()
        beside.shutdown()
        agree_on_messages(settings)
        hand_in(settings, handouts)
        tell(f"{len(handouts)} demo files handed in")
        services.up(settings, tell)
        report = running.run(settings, [], until_idle=True, tell=tell)
    for sentence in report.failed:
        out.print(f"[red]failed:[/red] {sentence}", highlight=False)
    if report.failed:
        return 1
    delivered = _delivered(settings)
    _show_deliveries(handouts, delivered)
    _show_faults(handouts, delivered)
    _show_county(settings)
    gaps = _show_municipalities(settings)
    surprises = [*unexpected(handouts, delivered), *gaps]
    for sentence in surprises:
        out.print(f"[red]unexpected:[/red] {sentence}", highlight=False)
    _show_messages(settings)
    _show_next(settings)
    out.print(f"Done in {time.monotonic() - started:.0f} s.")
    return 1 if surprises else 0


def agree_on_messages(settings: Settings) -> None:
    """A demo runs at any hour and nobody is woken: messages go into a folder, at once."""
    path = settings.home / FILE
    if not path.exists():
        path.write_text("channels: {default: drop}\nquiet_hours: null\nrate_limit_per_hour: 1000\n", encoding="utf-8")


def hand_in(settings: Settings, handouts: Sequence[Handout]) -> None:
    """As the offices would, in the order the files arrived."""
    for handout, path in files.write(settings.work / "demo", handouts):
        landing.hand_in(settings, handout.dataset_id, [path], handout.received_at, handout.address)


@dataclass(frozen=True)
class Delivered:
    """What became of a file: the state of its first delivery, and what was found."""

    state: str
    critical: frozenset[str]
    rules: frozenset[str]
    message: str


def _delivered(settings: Settings) -> dict[tuple[str, str, str], Delivered]:
    """By dataset, name and hash; a demo that is repeated only adds duplicates to what was delivered first."""
    with loading.session(settings) as conn:
        rows = conn.execute(
            """
            select distinct on (d.dataset_id, d.file_name, d.sha256) d.dataset_id, d.file_name, d.sha256, d.state,
                coalesce((select array_agg(distinct f.rule) from ops.finding as f
                    where f.delivery_id = d.delivery_id and f.severity = 'critical'), '{}'),
                coalesce((select array_agg(distinct f.rule) from ops.finding as f where f.delivery_id = d.delivery_id), '{}'),
                coalesce((select f.message from ops.finding as f where f.delivery_id = d.delivery_id
                    order by array_position(array['critical', 'warning', 'info'], f.severity), f.finding_id limit 1),
                    'bytegleich mit Lieferung ' || d.duplicate_of, '')
            from ops.delivery as d
            order by d.dataset_id, d.file_name, d.sha256, d.delivery_id
            """
        ).fetchall()
    return {
        (dataset, name, sha): Delivered(state, frozenset(critical), frozenset(rules), message)
        for dataset, name, sha, state, critical, rules, message in rows
    }


def unexpected(handouts: Sequence[Handout], delivered: dict[tuple[str, str, str], Delivered]) -> list[str]:
    """What the demo promises: good files are in, each faulty one came to what it had to, for its reason and no other."""
    sentences = []
    for handout in handouts:
        found = delivered.get((handout.dataset_id, handout.kept_name, handout.sha256))
        if found is None or found.state != handout.state:
            reason = f" ({found.message})" if found and found.message else ""
            sentences.append(f"{handout.name} is {found.state if found else 'missing'}, not {handout.state}{reason}")
            continue
        rule = handout.fault.rule if handout.fault else None
        allowed = {rule} if rule else set()
        if (rule and rule not in found.rules) or found.critical - allowed:
            told = ", ".join(sorted(found.critical or found.rules)) or "nothing"
            sentences.append(f"{handout.name} is {found.state} for {told}, not for {rule}")
    return sentences


def _show_deliveries(handouts: Sequence[Handout], delivered: dict[tuple[str, str, str], Delivered]) -> None:
    states: dict[str, Counter[str]] = defaultdict(Counter)
    days: dict[str, list[str]] = defaultdict(list)
    for handout in handouts:
        found = delivered.get((handout.dataset_id, handout.kept_name, handout.sha256))
        states[handout.dataset_id][found.state if found else "missing"] += 1
        days[handout.dataset_id].append(f"{handout.received_at:%Y-%m-%d}")
    table = Table("dataset", "files", "loaded", "refused", "other", "first", "last",
                  title="What the offices delivered – Demo: erfundene Zahlen")  # fmt: skip
    for dataset_id, counts in sorted(states.items()):
        loaded, refused = counts[LOADED], counts["quarantined"]
        other = ", ".join(f"{n} {state}" for state, n in sorted(counts.items()) if state not in (LOADED, "quarantined"))
        table.add_row(
            dataset_id,
            *(str(n or "") for n in (counts.total(), loaded, refused)),
            other,
            days[dataset_id][0],
            days[dataset_id][-1],
        )
    total = Counter[str]()
    for counts in states.values():
        total += counts
    table.add_section()
    table.add_row(f"{len(states)} datasets", str(total.total()), str(total[LOADED]), str(total["quarantined"]),
                  str(total.total() - total[LOADED] - total["quarantined"]))  # fmt: skip
    out.print(table)


def _show_faults(handouts: Sequence[Handout], delivered: dict[tuple[str, str, str], Delivered]) -> None:
    table = Table("file", "state", "rule", "what the office is told", title="Wrong on purpose – Demo: erfundene Zahlen")
    for handout in handouts:
        found = delivered.get((handout.dataset_id, handout.kept_name, handout.sha256))
        if handout.fault and found:
            table.add_row(handout.name, found.state, handout.fault.rule or "", found.message)
    out.print(table)


def _show_county(settings: Settings) -> None:
    """The core indicators of the county, latest period each."""
    query = """
        select distinct on (i.indicator_code) i.indicator_code, i.indicator_name_de, i.period_code, i.value, i.unit,
            i.numerator, i.denominator, coalesce(d.file_name, i.dataset_id), i.known_from
        from marts.rpt_indicator as i
        inner join marts.dim_indicator as definition
            on i.indicator_code = definition.indicator_code and i.definition_version = definition.definition_version
        left join marts.dim_delivery as d on i.delivery_id = d.delivery_id
        where i.territory_code = %s and definition.catalogue_set = 'core' and i.sex = 'total' and i.age_band = 'total'
            and i.value is not null
        order by i.indicator_code,
            i.category = coalesce(nullif(definition.headline_category, ''), 'total') desc, i.nationality = 'total' desc,
            i.nationality = 'foreign' desc, i.period_code desc
    """
    table = Table("code", "indicator", "period", "value", "unit", "numerator", "denominator", "source", "known from",
                  title="Landkreis Peine – Demo: erfundene Zahlen")  # fmt: skip
    with connecting.connect("analyst", settings) as conn:
        for code, name, period, value, unit, numerator, denominator, source, known in conn.execute(query, (COUNTY,)):
            figures = [_number(value, 2), unit, _amount(numerator), _amount(denominator)]
            table.add_row(code, name, period, *figures, source, f"{known:%Y-%m-%d}")
    out.print(table)


def _show_municipalities(settings: Settings) -> list[str]:
    """Core indicators the catalogue needs by municipality, latest period that all of them have; what is missing."""
    query = """
        with needed as (
            select indicator_code, definition_version, name_de, coalesce(nullif(headline_category, ''), 'total') as category
            from marts.dim_indicator
            where is_default and catalogue_set = 'core' and level_needed = 'municipality'
        ),
        counted as (
            select i.indicator_code, i.period_code, i.nationality, i.category,
                jsonb_object_agg(i.territory_code, round(i.value, 1)) as shown, count(*) as places
            from marts.rpt_indicator as i
            inner join needed using (indicator_code, definition_version)
            where i.territory_code like %s and length(i.territory_code) = 8 and i.value is not null
                and i.sex = 'total' and i.age_band = 'total'
            group by 1, 2, 3, 4
        )
        select distinct on (n.indicator_code) n.indicator_code, n.name_de, c.period_code, c.shown, coalesce(c.places, 0)
        from needed as n
        left join counted as c on n.indicator_code = c.indicator_code
        order by n.indicator_code, coalesce(c.places, 0) desc, c.category = n.category desc, c.nationality = 'total' desc,
            c.nationality = 'foreign' desc, c.period_code desc
    """
    places = {code: place.plain for code, place in MUNICIPALITIES.items()}
    table = Table(
        "code", "indicator", "period", *places.values(), title="Die sieben Gemeinden – Demo: erfundene Zahlen"
    )
    gaps = []
    with connecting.connect("analyst", settings) as conn:
        rows = conn.execute(query, (f"{COUNTY}%",)).fetchall()
    for code, name, period, shown, count in rows:
        table.add_row(code, name, period or "", *(_number((shown or {}).get(place), 1) for place in places))
        if count < len(places) and code not in _NOT_BY_MUNICIPALITY:
            gaps.append(f"{code} {name} has a value for {count} of {len(places)} municipalities")
    out.print(table)
    complete = sum(count == len(places) for *_, count in rows)
    out.print(
        f"{complete} of {len(rows)} core indicators have a value for every municipality; "
        f"{', '.join(_NOT_BY_MUNICIPALITY)} are delivered by county only."
    )
    return gaps


def _show_messages(settings: Settings) -> None:
    """What the offices were told, and what is open with them."""
    with loading.session(settings) as conn:
        told = conn.execute("select kind, state, count(*) from ops.message group by 1, 2 order by 1, 2").fetchall()
        open_with = conn.execute(
            "select state, count(*) from ops.incident where cause_id is null group by 1 order by 1"
        ).fetchall()
        [[following]] = conn.execute("select count(*) from ops.incident where cause_id is not null").fetchall()
    out.print(
        f"Messages    {', '.join(f'{count} {kind} {state}' for kind, state, count in told) or 'none'}", highlight=False
    )
    out.print(f"Mailbox     {settings.home / FOLDER} (.eml, opened by any mail program)", highlight=False)
    counts = ", ".join(f"{count} {state}" for state, count in open_with) or "none"
    out.print(f"Incidents   {counts}; {following} more follow from these", highlight=False)


def _show_next(settings: Settings) -> None:
    info = configuration.info(settings)
    out.print(f"""
Airflow     {info.ui_url}{info.login_hint}
Warehouse   {dsn_without_password(settings)}  password in {settings.secrets}/warehouse_analyst.password
Both keep running; `make down` stops them.

Try next:
  .venv/bin/teilhabe status
  .venv/bin/teilhabe explain SIO-01 {COUNTY} {_PERIOD_SHOWN}
  .venv/bin/teilhabe explain WOH-04 {COUNTY} WH2023
  .venv/bin/teilhabe sql "select * from marts.rpt_indicator where territory_code = '{COUNTY}' and category = 'total'"
  .venv/bin/teilhabe sql "select value from marts.observation_as_of('2025-06-01') where measure_code = 'foreigners_register'"
  .venv/bin/teilhabe deliver state_statistics__population YOUR-FILE.csv && .venv/bin/teilhabe run --until-idle
""", highlight=False)  # fmt: skip


def _number(value: Decimal | None, digits: int) -> str:
    return "" if value is None else f"{value:,.{digits}f}"


def _amount(value: Decimal | None) -> str:
    """A count without decimals; a rate or full-time equivalents, which also stand in a term, with them."""
    return "" if value is None else _number(value, 0 if value == round(value) else 2)


if __name__ == "__main__":
    sys.exit(main())
