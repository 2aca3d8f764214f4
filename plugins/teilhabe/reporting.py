"""Answers for people who look: what arrived, what is due, what is open, and where one number comes from."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from psycopg.rows import dict_row

from teilhabe import delivery_calendar, loading, pipeline, warehouse, wording
from teilhabe.contracts import Contract
from teilhabe.delivery_calendar import Standing
from teilhabe.errors import TeilhabeError
from teilhabe.settings import Settings


def status(settings: Settings, now: datetime) -> dict[str, Any]:
    """``deliveries`` newest first with their findings, ``due`` per dataset and sender: the latest delivery that was due,
    ``incidents``: refusals nobody has mended, ``is_demo``: some of the deliveries are the demo's."""
    with loading.session(settings) as conn, conn.cursor(row_factory=dict_row) as cursor:
        deliveries = cursor.execute(
            """
            select delivery_id, dataset_id, file_name as file, received_at, received_from, state, row_count, layout,
                duplicate_of, periods, sender_code as sender, container_id, is_demo
            from ops.delivery order by delivery_id desc
            """
        ).fetchall()
        standings = delivery_calendar.latest_due(conn, delivery_calendar.today(now))
        findings = cursor.execute(
            """
            select delivery_id, severity, rule, message, row_count as rows from ops.finding
            order by array_position(array['critical', 'warning', 'info'], severity), finding_id
            """
        ).fetchall()
    contracts = pipeline.contracts(settings)
    by_delivery: dict[int, list[dict[str, Any]]] = {}
    for finding in findings:
        by_delivery.setdefault(finding.pop("delivery_id"), []).append(finding)
    for delivery in deliveries:
        delivery["findings"] = by_delivery.get(delivery["delivery_id"], [])
    return {
        "deliveries": deliveries,
        "due": [_due(standing, contracts.get(standing.dataset_id)) for standing in standings],
        "incidents": list(_open_refusals(deliveries)),
        "is_demo": any(delivery["is_demo"] for delivery in deliveries),
    }


def holds_demo(settings: Settings) -> bool:
    """Whether anything in the warehouse comes from the demo."""
    with loading.session(settings) as conn:
        [[found]] = conn.execute("select exists (select from ops.delivery where is_demo)").fetchall()
    return bool(found)


def explain(settings: Settings, indicator: str, territory: str, period: str, category: str = "total") -> Iterator[str]:
    """Lines on one number: value, arithmetic, the delivered cells behind it with their vintages, definition, caveats."""
    key = {"indicator": indicator, "territory": territory, "period": period, "category": category}
    contracts = pipeline.contracts(settings)
    with warehouse.connect("transformer", settings) as conn, conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            """
            select f.*, i.name_de, i.unit_de, i.multiplier, i.definition_de, i.caveat_de, i.headline_category,
                i.numerator_measure_code, i.denominator_measure_code, exists (
                    select 1 from marts.dim_delivery as d
                    where d.is_demo and d.delivery_id in (f.numerator_delivery_id, f.denominator_delivery_id)
                ) as is_demo
            from marts.fct_indicator as f
            inner join marts.dim_indicator as i
                on f.indicator_code = i.indicator_code and f.definition_version = i.definition_version
            where f.indicator_code = %(indicator)s and f.territory_code = %(territory)s
                and f.period_code = %(period)s and f.category = %(category)s
                and f.sex = 'total' and f.age_band = 'total'
            order by f.definition_version, (f.nationality = 'total') desc, f.nationality
            """,
            key,
        ).fetchall()
        if not rows:
            known = cursor.execute(
                "select string_agg(distinct period_code, ', ' order by period_code) as periods from marts.fct_indicator"
                " where indicator_code = %(indicator)s and territory_code = %(territory)s",
                key,
            ).fetchone()
            periods = known["periods"] if known else None
            hint = f"it is there for {periods}" if periods else "this indicator has no value for this territory"
            raise TeilhabeError(f"There is no {indicator} for {territory} in {period} (category {category}); {hint}.")
        for row in rows:
            yield from _explain_one(cursor, row, contracts)


def _explain_one(cursor: Any, row: dict[str, Any], contracts: dict[str, Contract]) -> Iterator[str]:
    group = [row[name] for name in ("nationality", "sex", "age_band", "category") if row[name] != "total"]
    yield (
        f"{row['indicator_code']} {row['name_de']} (definition {row['definition_version']}), "
        f"{row['territory_code']}, {row['period_code']}" + (f", {' / '.join(group)}" if group else "")
    )
    yield f"  value        {_number(row['value'])} {row['unit_de']}  (status {row['obs_status']}/{row['conf_status']})"
    if row["is_demo"]:
        yield f"  {wording.DEMO}"
    if row["denominator"] is not None:
        yield (
            f"  arithmetic   {_number(row['numerator'])} / {_number(row['denominator'])} x {_number(row['multiplier'])}"
        )
    yield f"  known from   {row['known_from']:%Y-%m-%d %H:%M}"
    for role in ("numerator", "denominator"):
        if row[f"{role}_delivery_id"] is not None:
            yield from _explain_role(cursor, role, row, contracts)
    yield f"  Definition   {row['definition_de']}"
    if row["caveat_de"]:
        yield f"  Hinweis      {row['caveat_de']}"


def _explain_role(cursor: Any, role: str, row: dict[str, Any], contracts: dict[str, Contract]) -> Iterator[str]:
    """Numerator or denominator: one cell, or every cell of the sum or mean it is."""
    cells = _cells(cursor, role, row)
    if len(cells) == 1:
        cell = {
            **cells[0],
            "dataset_id": row[f"{role}_dataset_id"],
            "delivery_id": row[f"{role}_delivery_id"],
            "value": row[role],
        }
        yield f"  {role:<12} {_number(row[role])}: {cell['measure_code']}, {cell['period_code']}, from {cell['dataset_id']}"
        yield from _explain_cell(cursor, cell, contracts)
        return
    means = " (mean)" if any("mean" in cell["period_rule"] for cell in cells) else ""
    yield f"  {role:<12} {_number(row[role])}{means}: {row[f'{role}_measure_code']}, {row[f'{role}_period_code']}"
    for cell in cells:
        sign = "-" if cell["sign"] < 0 else "+"
        known = _observation(cursor, cell)
        if known is None:
            if not cell["is_optional"]:
                yield f"    {sign} {cell['measure_code']}, {cell['period_code']}: not delivered"
            continue
        yield (
            f"    {sign} {cell['measure_code']}, {cell['period_code']}: {_number(known['value'])} "
            f"({known['obs_status']}/{known['conf_status']}), from {known['dataset_id']}"
        )
        yield from _explain_cell(cursor, {**cell, **known}, contracts)


def _explain_cell(cursor: Any, cell: dict[str, Any], contracts: dict[str, Contract]) -> Iterator[str]:
    """The vintages of one number, how it was derived or corrected, and whose it is."""
    known = _observation(cursor, cell)
    correction = _correction(cursor, known["correction_id"]) if known and known["correction_id"] else None
    place_of = cell
    if known and correction and known["territorial_method"] == "moved_key":
        place_of = {**cell, "territory_code": correction["territory_code"]}
    vintages = _vintages(cursor, place_of, cell["dataset_id"])
    if not vintages:
        source = cursor.execute(
            "select file_name, known_from, sha256 from marts.dim_delivery where delivery_id = %s",
            (cell["delivery_id"],),
        ).fetchone()
        yield (
            f"               summed from cells of delivery {cell['delivery_id']}, {source['file_name']}, "
            f"known from {source['known_from']:%Y-%m-%d}, sha256 {source['sha256'][:16]}"
        )
    for vintage in vintages:
        place = f"row {vintage['row_number']}" + (
            f", column {vintage['column_number']}" if vintage["column_number"] else ""
        )
        mark = "*" if vintage["delivery_id"] == cell["delivery_id"] else " "
        yield (
            f"             {mark} {_number(vintage['value'])} known from {vintage['known_from']:%Y-%m-%d}, delivery "
            f"{vintage['delivery_id']}, {vintage['file_name']}, {place}, sha256 {vintage['sha256'][:16]}"
        )
    if known and known["is_derived"]:
        method = known["territorial_method"].replace("as_delivered", "sum of delivered age groups")
        yield f"               derived: {method}"
    if correction:
        yield f"               Korrektur {correction['correction_id']}: {correction['reason_de']}"
    if cell["dataset_id"] in contracts:
        contract = contracts[cell["dataset_id"]]
        yield f"               {contract.attribution} ({contract.licence})"


def _cells(cursor: Any, role: str, row: dict[str, Any]) -> list[dict[str, Any]]:
    """The observations a role of the indicator takes: ``each`` and ``same`` follow the group of the row."""
    terms = cursor.execute(
        """
        select t.*, p.cell_period_code
        from intermediate.int_indicator__terms as t
        inner join intermediate.int_indicator__periods as p
            on t.indicator_code = p.indicator_code and t.definition_version = p.definition_version
                and t.role = p.role and t.term = p.term
        where t.indicator_code = %s and t.definition_version = %s and t.role = %s and p.period_code = %s
            and (not p.has_alternatives or p.cell_period_code = %s)
        order by t.term, p.cell_period_code
        """,
        (row["indicator_code"], row["definition_version"], role, row["period_code"], row[f"{role}_period_code"]),
    ).fetchall()
    cells = []
    for term in terms:
        cell = {
            name: row[name] if term[name] in ("each", "same") else term[name]
            for name in ("nationality", "sex", "age_band", "category")
        }
        if term["category"] in ("each", "same") and cell["category"] == "total" and row["headline_category"]:
            cell["category"] = row["headline_category"]
        said = {name: term[name] for name in ("measure_code", "sign", "period_rule", "is_optional")}
        place = {"territory_code": row["territory_code"], "period_code": term["cell_period_code"]}
        cells.append({**cell, **said, **place})
    return cells


def _observation(cursor: Any, cell: dict[str, Any]) -> dict[str, Any] | None:
    """The number as it stands today."""
    found: dict[str, Any] | None = cursor.execute(
        """
        select value, obs_status, conf_status, dataset_id, delivery_id, territorial_method, is_derived, correction_id
        from marts.fct_observation
        where measure_code = %(measure_code)s and territory_code = %(territory_code)s and period_code = %(period_code)s
            and nationality = %(nationality)s and sex = %(sex)s and age_band = %(age_band)s and category = %(category)s
        """,
        cell,
    ).fetchone()
    return found


def _correction(cursor: Any, correction_id: str) -> dict[str, Any]:
    found: dict[str, Any] = cursor.execute(
        "select correction_id, territory_code, reason_de from staging.corrections where correction_id = %s",
        (correction_id,),
    ).fetchone()
    return found


def _vintages(cursor: Any, cell: dict[str, Any], dataset_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = cursor.execute(
        """
        select v.value, v.known_from, v.delivery_id, v.row_number, v.column_number, d.file_name, d.sha256
        from marts.fct_observation_vintage as v
        inner join marts.dim_delivery as d on v.delivery_id = d.delivery_id
        where v.measure_code = %(measure_code)s and v.territory_code = %(territory_code)s
            and v.period_code = %(period_code)s and v.nationality = %(nationality)s and v.sex = %(sex)s
            and v.age_band = %(age_band)s and v.category = %(category)s and v.dataset_id = %(dataset_id)s
        order by v.known_from desc, v.delivery_id desc
        """,
        {**cell, "dataset_id": dataset_id},
    ).fetchall()
    return found


def _number(value: Any) -> str:
    return "-" if value is None else f"{value:.10g}" if isinstance(value, float) else f"{value.normalize():f}"


def _due(standing: Standing, contract: Contract | None) -> dict[str, Any]:
    names = {sender.territory_code: sender.territory_name for sender in contract.senders} if contract else {}
    return {
        "dataset_id": standing.dataset_id,
        "sender": standing.sender_code,
        "sender_name": names.get(standing.sender_code or ""),
        "period": standing.period_code,
        "due": standing.due_on,
        "grace_until": standing.grace_until,
        "state": standing.state,
        "missing": standing.missing,
        "next_period": standing.next_period,
        "next_due": standing.next_due_on,
    }


def _open_refusals(deliveries: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Refused deliveries that nothing accepted since replaces."""
    accepted: dict[tuple[str, str | None], list[dict[str, Any]]] = {}
    for delivery in deliveries:  # newest first
        later = accepted.setdefault((delivery["dataset_id"], delivery["sender"]), [])
        if delivery["state"] == "loaded":
            later.append(delivery)
        elif (
            delivery["state"] == "quarantined"
            and delivery["findings"]
            and not any(_mends(other, delivery) for other in later)
        ):
            first = delivery["findings"][0]
            yield {
                "dataset_id": delivery["dataset_id"],
                "delivery_id": delivery["delivery_id"],
                "severity": first["severity"],
                "rule": first["rule"],
                "message": first["message"],
                "since": delivery["received_at"].astimezone(UTC),
            }


def _mends(later: dict[str, Any], refused: dict[str, Any]) -> bool:
    """Same name or same periods; what could not even be read is mended by whatever was handed in after it."""
    if later["file"] == refused["file"]:
        return True
    if refused["periods"]:
        return not set(refused["periods"]).isdisjoint(later["periods"] or [])
    return bool(later["received_at"] > refused["received_at"])
