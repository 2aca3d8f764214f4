"""Where one published number comes from, down to the rows of the files it is made of; or why there is none.

Read from ``marts`` with the analyst's rights: whoever may see a number may see where it comes from. Only what was left out of a
file is in none of the marts (``explaining_excluded_rows``, ``explaining_uncounted``).
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby
from typing import Any

import psycopg
from psycopg.rows import dict_row

from teilhabe.codes.office_time import end_of_day, stamp
from teilhabe.codes.periods import period_end
from teilhabe.errors import TeilhabeError
from teilhabe.explaining.excluded_rows import about_excluded_rows
from teilhabe.explaining.uncounted import about_uncounted_deliveries
from teilhabe.server import connecting
from teilhabe.settings import Settings

GROUP = ("nationality", "sex", "age_band", "category")
_CELL = ("measure_code", "territory_code", "period_code", *GROUP)
_OF_CELL = (
    *("cell_id", "role", "term", "sign", "period_rule", "depth", "measure_code", "measure_name_de", "measure_name_en"),
    *("delivered_value", "territorial_method", "territorial_factor", "is_derived", "is_authoritative", "correction_id"),
    *("correction_action", "correction_reason_de", "dataset_id", "office_name", "delivery_id", "file_name", "sha256"),
    *("row_number", "column_number", "received_at"),
)
_OF_VINTAGE = (
    "value",
    "numerator",
    "denominator",
    "obs_status",
    "conf_status",
    "known_from",
    "known_until",
    "release_id",
)
_PERIODS_SHOWN = 12

Row = dict[str, Any]
Cursor = psycopg.Cursor[Row]


@dataclass(frozen=True)
class Question:
    """Which number. ``nationality`` None: the total, where there is none every one there is; ``as_of``: as known at the end
    of that day; ``definition`` None: the one reports show, where it has no value the first that has one."""

    indicator: str
    territory: str
    period: str
    nationality: str | None = None
    sex: str = "total"
    age_band: str = "total"
    category: str = "total"
    definition: int | None = None
    converted: bool = False
    as_of: date | None = None

    @property
    def moment(self) -> datetime | str:
        if self.as_of is None:
            return "infinity"
        return end_of_day(self.as_of)

    @property
    def bases(self) -> list[str]:
        return ["both", "converted" if self.converted else "as_delivered"]


def explain(settings: Settings, question: Question) -> Row:
    """All that is known about a number: ``definition``, ``release``, ``values`` (one per nationality) with their ``cells``.

    Raises:
        TeilhabeError: there is no such number; the sentence says why.
    """
    with connecting.connect("analyst", settings) as conn, conn.cursor(row_factory=dict_row) as cursor:
        if not cursor.execute("select to_regclass('marts.release') is not null as found").fetchall()[0]["found"]:
            raise TeilhabeError("Nothing is published yet; `teilhabe run` builds the warehouse.")
        vintages = _vintages_of_value(cursor, question)
        known = [row for row in vintages if _holds(row, question)]
        version = _version(known, question)
        chosen = [row for row in known if row["definition_version"] == version and _is_asked_for(row, question)]
        if question.nationality is None and any(row["nationality"] == "total" for row in chosen):
            chosen = [row for row in chosen if row["nationality"] == "total"]
        if not chosen:
            why = _why_nothing(cursor, question, known, vintages)
            raise TeilhabeError(" ".join([why, *_uncounted(settings, cursor, question, vintages)]))
        lineage = cursor.execute(
            """
            select * from marts.lineage_of(%(indicator)s, %(territory)s, %(period)s, %(moment)s)
            where definition_version = %(version)s and territorial_basis = any(%(bases)s)
                and nationality = any(%(nationalities)s)
                and sex = %(sex)s and age_band = %(age_band)s and category = %(category)s
            order by role desc, term, cell_period_code, depth, cell_territory_code, cell_id
            """,
            {
                **_parameters(question),
                "version": version,
                "bases": question.bases,
                "nationalities": [row["nationality"] for row in chosen],
            },
        ).fetchall()
        told = _cell_vintages(cursor, lineage)
        values = []
        for row in chosen:
            rows = [cell for cell in lineage if _same(cell, row, GROUP)]
            values.append(
                {
                    **row,
                    "why_no_value": _why_no_value(row, rows) if row["value"] is None else None,
                    "history": [
                        {name: old[name] for name in _OF_VINTAGE}
                        for old in vintages
                        if _same(old, row, (*GROUP, "definition_version", "territorial_basis"))
                    ],
                    "definitions": [
                        {name: other[name] for name in ("definition_version", "value", "obs_status", "conf_status")}
                        for other in known
                        if _same(other, row, GROUP) and other["territorial_basis"] in question.bases
                    ],
                    "cells": _tree(rows, told),
                }
            )
        definitions = _definitions(cursor, question.indicator)
        return {
            "indicator_code": question.indicator,
            "territory_code": question.territory,
            "territory_name": chosen[0]["territory_name"],
            "period_code": question.period,
            "period_name": chosen[0]["period_name"],
            "as_of": question.as_of,
            "formula": lineage[0]["formula"],
            "definition": next(d for d in definitions if d["definition_version"] == version),
            "other_definitions": [d for d in definitions if d["definition_version"] != version],
            "values": values,
            "uncounted": _uncounted(settings, cursor, question, lineage),
            "breaks_de": _lines_of(lineage, "break_notes_de"),
            "breaks_en": _lines_of(lineage, "break_notes_en"),
            "deliveries": _deliveries(lineage),
            "sources": _sources(lineage),
            "release": _release(cursor),
            "is_demo": any(row["is_demo"] for row in lineage),
        }


# ------------------------------------------------------------------------------------------------------------ the value


def _parameters(question: Question) -> Row:
    names = ("indicator", "territory", "period", "sex", "age_band", "category", "moment")
    return {name: getattr(question, name) for name in names}


def _vintages_of_value(cursor: Cursor, question: Question) -> list[Row]:
    """Every state the indicator ever had there, in all definitions and groups and on both bases, newest first."""
    return cursor.execute(
        """
        select i.definition_version, i.is_default, i.unit_de, i.unit_en, i.multiplier,
            t.territory_name, p.label_de as period_name,
            g.nationality, g.sex, g.age_band, c.category_code as category, c.category_name,
            v.territorial_basis, v.value, v.obs_status, v.conf_status, v.numerator, v.denominator,
            v.numerator_period_code, v.denominator_period_code, v.wilson_low, v.wilson_high, v.is_small_number,
            v.territorial_method, v.null_reason, v.known_from, v.known_until, v.release_id
        from marts.fct_indicator_vintage as v
        inner join marts.dim_indicator as i using (indicator_key)
        inner join marts.dim_territory as t using (territory_key)
        inner join marts.dim_period as p using (period_key)
        inner join marts.dim_population_group as g using (population_group_key)
        inner join marts.dim_category as c using (category_key)
        where i.indicator_code = %(indicator)s and t.territory_code = %(territory)s and p.period_code = %(period)s
        order by i.definition_version, (g.nationality = 'total') desc, g.nationality, v.known_from desc
        """,
        _parameters(question),
    ).fetchall()


def _holds(row: Row, question: Question) -> bool:
    moment = question.moment
    if isinstance(moment, str):
        return row["known_until"] is None
    return row["known_from"] <= moment and (row["known_until"] is None or row["known_until"] > moment)


def _is_asked_for(row: Row, question: Question) -> bool:
    return (
        row["territorial_basis"] in question.bases
        and question.nationality in (None, row["nationality"])
        and all(row[name] == getattr(question, name) for name in ("sex", "age_band", "category"))
    )


def _version(known: Sequence[Row], question: Question) -> int | None:
    if question.definition is not None:
        return question.definition
    asked_for = [row for row in known if _is_asked_for(row, question)]
    return next((row["definition_version"] for row in sorted(asked_for, key=lambda row: not row["is_default"])), None)


def _definitions(cursor: Cursor, indicator: str) -> list[Row]:
    return cursor.execute(
        """
        select i.definition_version, i.is_default, i.name_de, i.name_en, i.field_name_de, i.unit_de, i.unit_en,
            i.multiplier, i.direction, i.aggregation, i.numerator_measure_code, i.denominator_measure_code,
            i.denominator_period_de, i.denominator_period_en, i.valid_from, i.valid_to,
            f.name_de as framework_de, f.name_en as framework_en, i.frameworks, i.definition_de, i.definition_en,
            i.caveat_de, i.caveat_en
        from marts.dim_indicator as i left join marts.dim_framework as f using (framework_code)
        where i.indicator_code = %s order by i.definition_version
        """,
        [indicator],
    ).fetchall()


def _release(cursor: Cursor) -> Row | None:
    return cursor.execute(
        "select release_id, published_at, code_version, territorial_state from marts.release order by release_id desc limit 1"
    ).fetchone()


# ------------------------------------------------------------------------------------------------------------ the cells


def _cell_vintages(cursor: Cursor, lineage: Sequence[Row]) -> dict[tuple[Any, ...], list[Row]]:
    """What the dataset of each cell ever said about it, newest first."""
    cells = sorted({_address(row) for row in lineage if row["dataset_id"] is not None}, key=repr)
    columns = list(zip(*cells, strict=True)) if cells else [()] * (len(_CELL) + 1)
    rows = cursor.execute(
        f"""
        select {", ".join(f"asked.{name}" for name in _CELL)}, asked.dataset_id,
            s.value, s.obs_status, s.conf_status, s.known_from, s.known_until, s.is_authoritative, s.territorial_basis,
            s.row_number, s.column_number, d.delivery_id, d.file_name, d.sha256, d.received_at, d.withdrawn_at, d.withdrawal_reason
        from unnest({", ".join(["%s::text[]"] * (len(_CELL) + 1))}) as asked ({", ".join(_CELL)}, dataset_id)
        inner join marts.dim_measure as m on m.measure_code = asked.measure_code
        inner join marts.dim_territory as t on t.territory_code = asked.territory_code
        inner join marts.dim_period as p on p.period_code = asked.period_code
        inner join marts.dim_population_group as g
            on g.nationality = asked.nationality and g.sex = asked.sex and g.age_band = asked.age_band
        inner join marts.dim_category as c on c.category_code = asked.category
        inner join marts.dim_dataset as o on o.dataset_id = asked.dataset_id
        cross join lateral (
            select * from marts.fct_observation_stated as stated
            where stated.territory_key = t.territory_key and stated.measure_key = m.measure_key
                and stated.period_key = p.period_key and stated.population_group_key = g.population_group_key
                and stated.category_key = c.category_key and stated.dataset_key = o.dataset_key
            offset 0
        ) as s
        inner join marts.dim_delivery as d on d.delivery_id = s.delivery_id
        order by s.known_from desc
        """,
        [list(column) for column in columns],
    ).fetchall()
    told: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        key = tuple(row.pop(name) for name in (*_CELL, "dataset_id"))
        told.setdefault(key, []).append(row)
    return told


def _address(row: Row) -> tuple[Any, ...]:
    return (row["measure_code"], *(row[f"cell_{name}"] for name in _CELL[1:]), row["dataset_id"])


def _cell(row: Row, told: Mapping[tuple[Any, ...], list[Row]]) -> Row:
    """What a row of lineage says about the cell; ``history``: what the same dataset ever said, newest first."""
    vintages = [v for v in told.get(_address(row), []) if v["territorial_basis"] == row["cell_territorial_basis"]]
    of_cell = {name.removeprefix("cell_"): row[name] for name in row if name.startswith("cell_") and name != "cell_id"}
    return {**{name: row[name] for name in _OF_CELL}, **of_cell, "history": _one_after_another(vintages)}


def _one_after_another(vintages: Sequence[Row]) -> list[Row]:
    """What another dataset was preferred to in between goes on where it had stopped: one vintage per delivery."""
    merged: list[Row] = []
    for row in vintages:
        later = merged[-1] if merged else None
        if later and _same(later, row, ("delivery_id", "value")) and later["known_from"] == row["known_until"]:
            later["known_from"] = row["known_from"]
        else:
            merged.append(
                {name: value for name, value in row.items() if name not in ("is_authoritative", "territorial_basis")}
            )
    return merged


def _tree(rows: Sequence[Row], told: Mapping[tuple[Any, ...], list[Row]], parent: str | None = None) -> list[Row]:
    """The cells of a value, each with its parts."""
    return [
        {**_cell(row, told), "parts": _tree(rows, told, row["cell_id"])} for row in rows if row["part_of"] == parent
    ]


def _same(one: Row, other: Row, names: Sequence[str]) -> bool:
    return all(one[name] == other[name] for name in names)


def _lines_of(lineage: Sequence[Row], name: str) -> list[str]:
    return list(dict.fromkeys(line for row in lineage if row[name] for line in row[name].split("\n")))


def _deliveries(lineage: Sequence[Row]) -> list[Row]:
    names = ("delivery_id", "dataset_id", "office_name", "file_name", "sha256", "received_at", "is_demo")
    found = {row["delivery_id"]: {name: row[name] for name in names} for row in lineage if not row["is_derived"]}
    return [found[number] for number in sorted(number for number in found if number is not None)]


def _sources(lineage: Sequence[Row]) -> list[Row]:
    names = ("attribution", "licence", "licence_url")
    found = {tuple(row[name] for name in names) for row in lineage if row["dataset_id"] is not None}
    return [dict(zip(names, one, strict=True)) for one in sorted(found, key=repr)]


# ---------------------------------------------------------------------------------------------------------- why nothing


def _uncounted(settings: Settings, cursor: Cursor, question: Question, cells: Sequence[Row]) -> list[str]:
    """Rows and whole files that would have been about the number and do not count, a sentence each."""
    measures = cursor.execute(
        """
        select distinct t.measure_code from marts.dim_indicator_term as t
        inner join marts.dim_indicator as i using (indicator_key) where i.indicator_code = %s
        """,
        [question.indicator],
    ).fetchall()
    names = cursor.execute(
        "select territory_name from marts.dim_territory where territory_code = %s limit 1", [question.territory]
    ).fetchall()
    periods = {question.period, *(cell["cell_period_code"] for cell in cells if cell.get("cell_period_code"))}
    name = names[0]["territory_name"] if names else ""
    codes = {row["measure_code"] for row in measures}
    rows = about_excluded_rows(settings, question.territory, name, periods, codes)
    if question.as_of is not None:  # where a file stands now says nothing of then
        return rows
    return [*rows, *about_uncounted_deliveries(settings, periods, codes)]


def _why_no_value(row: Row, cells: Sequence[Row]) -> str:
    """The number is published without a value: the first reason, the nearest to a file."""
    for cell in sorted((c for c in cells if c["cell_value"] is None), key=lambda c: -int(c["depth"])):
        what = f"{cell['measure_code']} of {cell['cell_territory_code']} in {cell['cell_period_code']}"
        where = f"in delivery {cell['delivery_id']}" + (f", row {cell['row_number']}" if cell["row_number"] else "")
        if cell["delivery_id"] is None:
            return f"{what} is not delivered"
        if cell["cell_conf_status"] != "F" or cell["cell_obs_status"] == "Q":
            return f"{what} is suppressed (secret) {where}"
        if cell["cell_obs_status"] == "O":
            return f"{what} is marked as not available {where}"
        return f"{what} has no value {where}"
    return "the denominator is 0" if row["denominator"] == 0 else "a part of it is missing"


def _why_nothing(cursor: Cursor, question: Question, known: Sequence[Row], vintages: Sequence[Row]) -> str:
    """One sentence: what of the question does not exist, or was not delivered."""
    return (
        _unknown_words(cursor, question)
        or _known_otherwise(cursor, question, known, vintages)
        or _not_delivered(cursor, question)
    )


def _unknown_words(cursor: Cursor, question: Question) -> str | None:
    versions: dict[str, list[Row]] = {}
    for row in cursor.execute(
        "select indicator_code, definition_version, valid_from, valid_to from marts.dim_indicator order by 1, 2"
    ):
        versions.setdefault(row["indicator_code"], []).append(row)
    if question.indicator not in versions:
        near = difflib.get_close_matches(question.indicator.upper(), versions, n=3, cutoff=0.5)
        hint = f"do you mean {_or(near)}?" if near else "marts.dim_indicator lists all."
        return f"There is no indicator {question.indicator} in the catalogue; {hint}"
    definitions = versions[question.indicator]
    if question.definition is not None:
        definitions = [row for row in definitions if row["definition_version"] == question.definition]
        if not definitions:
            numbers = [str(row["definition_version"]) for row in versions[question.indicator]]
            return f"{question.indicator} has no definition {question.definition}; it has {_and(numbers)}."
    end = period_end(question.period)
    if end is None:
        return (
            f"{question.period} is no period; write e.g. 2024, 2024-H1, 2024-Q3, 2024-09, 2024-12-31, SY2024, WH2024."
        )
    if not cursor.execute(
        "select 1 from marts.dim_territory where territory_code = %s", [question.territory]
    ).fetchall():
        units = cursor.execute(
            """
            select distinct territory_code || ' ' || territory_name as unit from marts.dim_territory
            where territory_code = '0' || %(asked)s or lower(territory_name) like lower(%(asked)s) || '%%'
            order by 1 limit 3
            """,
            {"asked": question.territory},
        ).fetchall()
        hint = f"do you mean {_or([row['unit'] for row in units])}?" if units else "marts.dim_territory lists all."
        return f"There is no territory with the key {question.territory}; {hint}"
    if all(
        (row["valid_from"] and end < row["valid_from"]) or (row["valid_to"] and end > row["valid_to"])
        for row in definitions
    ):
        spans = _and([f"{row['valid_from'] or '…'} to {row['valid_to'] or '…'}" for row in definitions])
        return f"{question.indicator} is defined for {spans}, not for {question.period}."
    return None


def _known_otherwise(cursor: Cursor, question: Question, known: Sequence[Row], vintages: Sequence[Row]) -> str | None:
    """There is a number, but not at this moment, on this basis or for this group."""
    what = f"{question.indicator} for {question.territory} in {question.period}"
    if vintages and not known:
        return _not_known_then(cursor, question, what, vintages)
    on_basis = [row for row in known if row["territorial_basis"] in question.bases]
    if known and not on_basis:
        if question.converted:
            return (
                f"{what} stands on its own territory only: {question.territory} {_what_became(cursor, question)}; "
                "ask without --converted."
            )
        return f"{what} is there only on the territories of today: {_lifetime(cursor, question)}; ask with --converted."
    of_version = [row for row in on_basis if question.definition in (None, row["definition_version"])]
    if on_basis and not of_version:
        others = sorted({str(row["definition_version"]) for row in on_basis})
        return f"{what} has no value in definition {question.definition}; it has in {_and(others)}."
    if of_version:
        there = []
        for name in GROUP:
            asked = getattr(question, name)
            codes = sorted({row[name] for row in of_version if _is_near(row, question, name)})
            if codes and asked is not None and asked not in codes:
                there.append(f"{name} {_or(codes[:_PERIODS_SHOWN])}")
        group = _and(
            [f"{name} {getattr(question, name)}" for name in GROUP if getattr(question, name) not in (None, "total")]
        )
        hint = f"it is there for {'; '.join(there)}" if there else "each of these is there, but not together"
        return f"{what} is not broken down that way{f' ({group})' if group else ''}; {hint}."
    return None


def _not_known_then(cursor: Cursor, question: Question, what: str, vintages: Sequence[Row]) -> str:
    """There was a number, or there was to be one: but none at this moment."""
    ended = [row for row in vintages if row["known_until"] is not None and not _is_to_come(row, question)]
    if not ended:
        first = min(row["known_from"] for row in vintages)
        return f"At the end of {question.as_of} nothing was known yet about {what}: its first value is known since {stamp(first)}."
    last = max(ended, key=lambda row: row["known_until"])
    until = stamp(last["known_until"])
    withdrawn = cursor.execute(
        "select delivery_id, file_name, withdrawal_reason from marts.dim_delivery where withdrawn_at = %s order by 1 limit 1",
        [last["known_until"]],
    ).fetchall()
    why = (
        f"delivery {withdrawn[0]['delivery_id']}, {withdrawn[0]['file_name']}, was withdrawn: {withdrawn[0]['withdrawal_reason']}"
        if withdrawn
        else "a later delivery no longer gives it"
    )
    value = "" if last["value"] is None else f" It was {last['value'].normalize():f} then."
    return f"There is no {what} any more since {until}: {why}.{value}"


def _is_to_come(row: Row, question: Question) -> bool:
    return not isinstance(question.moment, str) and bool(row["known_from"] > question.moment)


def _is_near(row: Row, question: Question, free: str) -> bool:
    """The row has the group asked for in all but one coordinate."""
    return all(getattr(question, name) in (None, row[name]) for name in GROUP if name != free)


def _not_delivered(cursor: Cursor, question: Question) -> str:
    what = f"{question.indicator} for {question.territory} in {question.period}"
    terms = cursor.execute(
        """
        select t.role, t.measure_code, m.name_en, t.is_optional, i.is_default, i.definition_version,
            i.availability_note_en, i.level_published, i.level_note_en,
            exists (select from marts.fct_observation_vintage as v where v.measure_key = t.measure_key) as is_delivered
        from marts.dim_indicator_term as t
        inner join marts.dim_indicator as i using (indicator_key)
        inner join marts.dim_measure as m using (measure_key)
        where i.indicator_code = %(indicator)s
            and i.definition_version = %(definition)s
        order by t.role desc, t.term
        """,
        {"indicator": question.indicator, "definition": _definition_meant(cursor, question)},
    ).fetchall()
    if other := _of_that_time(_periods_of_indicator(cursor, question), question.period):
        one = f"for {_and(other)}"
        return (
            f"There is no {what}: {question.indicator} is there {one}, not for {question.period}; ask for {other[-1]}."
        )
    missing = list(dict.fromkeys(t["measure_code"] for t in terms if not t["is_delivered"] and not t["is_optional"]))
    if missing:
        note = terms[0]["availability_note_en"]
        return f"There is no {what}: no office delivers {_and(missing)} so far" + (
            f" ({note.rstrip('.')})." if note else "."
        )
    for term in terms:
        if term["is_optional"]:
            continue
        periods = _periods_of_measure(cursor, term["measure_code"], question.territory)
        if not periods:
            is_deeper = len(question.territory) == 8 and term["level_published"] not in (None, "municipality")
            level = f"; it is published down to the {term['level_published']}" if is_deeper else ""
            return (
                f"There is no {what}: {term['measure_code']} is not delivered for {question.territory} "
                f"({_lifetime(cursor, question)}){level}."
            )
        if term["role"] == "numerator" and not _reaches(cursor, question, term["measure_code"], periods):
            there = _periods_of_indicator(cursor, question)
            hint = (
                f"{question.indicator} is there for {_spans(there)}" if there else f"it is there for {_spans(periods)}"
            )
            return f"There is no {what}: {term['measure_code']} is not delivered for that period; {hint}."
    there = _periods_of_indicator(cursor, question)
    hint = f"it is there for {_spans(there)}" if there else "no period has all of its terms"
    lacking = next((t["measure_code"] for t in terms if t["role"] == "denominator"), terms[0]["measure_code"])
    return f"There is no {what}: {lacking} is not delivered for the group and period the formula asks for; {hint}."


def _definition_meant(cursor: Cursor, question: Question) -> int | None:
    """The definition asked for; else the default one, unless the unit has numbers of another one only."""
    if question.definition is not None:
        return question.definition
    row = cursor.execute(
        """
        select i.definition_version from marts.dim_indicator as i
        where i.indicator_code = %(indicator)s
        order by exists (
            select from marts.fct_indicator as f inner join marts.dim_territory as t using (territory_key)
            where f.indicator_key = i.indicator_key and t.territory_code = %(territory)s
        ) desc, i.is_default desc, i.definition_version
        limit 1
        """,
        _parameters(question),
    ).fetchone()
    return None if row is None else int(row["definition_version"])


def _of_that_time(periods: Sequence[Row], asked: str) -> list[str]:
    """Periods of another kind that lie in the one asked for, or end with it: a reference date for a year and the reverse."""
    end = period_end(asked)
    codes = [row["period_code"] for row in periods]
    if end is None or asked in codes:
        return []
    within = [code for code in codes if code.startswith(f"{asked}-")] if asked.isdigit() else []
    same_end = [code for code in codes if period_end(code) == end]
    return sorted({*within, *same_end})[-_PERIODS_SHOWN:]


def _reaches(cursor: Cursor, question: Question, measure_code: str, periods: Sequence[Row]) -> bool:
    """Some cell the formula takes of this measure for the period is there."""
    needed = cursor.execute(
        """
        select n.cell_period_code from marts.dim_indicator_period as n
        inner join marts.dim_indicator_term as t using (indicator_key, role, term)
        where n.indicator_code = %s and n.period_code = %s and t.measure_code = %s
        """,
        [question.indicator, question.period, measure_code],
    ).fetchall()
    return not {row["cell_period_code"] for row in needed}.isdisjoint(row["period_code"] for row in periods)


def _periods_of_measure(cursor: Cursor, measure_code: str, territory: str) -> list[Row]:
    return cursor.execute(
        """
        select p.period_code, p.period_type from marts.dim_period as p
        where exists (
            select from marts.fct_observation_vintage as v
            inner join marts.dim_territory as t using (territory_key)
            inner join marts.dim_measure as m using (measure_key)
            where t.territory_code = %s and m.measure_code = %s and v.period_key = p.period_key
        ) order by p.period_type, p.period_code
        """,
        [territory, measure_code],
    ).fetchall()


def _periods_of_indicator(cursor: Cursor, question: Question) -> list[Row]:
    return cursor.execute(
        """
        select distinct p.period_code, p.period_type from marts.fct_indicator as f
        inner join marts.dim_indicator as i using (indicator_key)
        inner join marts.dim_territory as t using (territory_key)
        inner join marts.dim_period as p using (period_key)
        where i.indicator_code = %(indicator)s and t.territory_code = %(territory)s
        order by p.period_type, p.period_code
        """,
        _parameters(question),
    ).fetchall()


def _spans(periods: Sequence[Row]) -> str:
    """All periods where they are few, first and last of each kind otherwise."""
    codes = [row["period_code"] for row in periods]
    if len(codes) <= _PERIODS_SHOWN:
        return _and(codes)
    kinds = [[row["period_code"] for row in rows] for _, rows in groupby(periods, key=lambda row: row["period_type"])]
    return _and([few[0] if len(few) == 1 else f"{few[0]} to {few[-1]} ({len(few)} periods)" for few in kinds])


def _lifetime(cursor: Cursor, question: Question) -> str:
    """When the unit existed, and what it was made of."""
    row = cursor.execute(
        """
        select min(valid_from) as first_day, max(coalesce(valid_to, date '9999-12-31')) as last_day,
            array_remove(array_agg(distinct old.code), null) as predecessors,
            array_remove(array_agg(distinct new.code), null) as successors
        from marts.dim_territory as t
        left join lateral unnest(t.predecessors) as old (code) on true
        left join lateral unnest(t.successors) as new (code) on true
        where t.territory_code = %s
        """,
        [question.territory],
    ).fetchall()[0]
    said = []
    if row["first_day"] > date(1900, 1, 1):
        said.append(
            f"from {row['first_day']}" + (f", before {_and(row['predecessors'])}" if row["predecessors"] else "")
        )
    if row["last_day"] < date(9999, 12, 31):
        said.append(f"until {row['last_day']}" + (f", then {_and(row['successors'])}" if row["successors"] else ""))
    return f"the unit exists {'; '.join(said)}" if said else "the unit exists all the time"


def _what_became(cursor: Cursor, question: Question) -> str:
    rows = cursor.execute(
        "select distinct new_code, new_name from marts.dim_territory_conversion where old_code = %s and new_code <> old_code",
        [question.territory],
    ).fetchall()
    units = [f"{row['new_code']} {row['new_name']}" for row in rows]
    return f"went into {_and(units)}" if units else "is not converted"


def _and(words: Sequence[str]) -> str:
    return _joined(words, "and")


def _or(words: Sequence[str]) -> str:
    return _joined(words, "or")


def _joined(words: Sequence[str], last: str) -> str:
    return f"{', '.join(words[:-1])} {last} {words[-1]}" if len(words) > 1 else "".join(words)
