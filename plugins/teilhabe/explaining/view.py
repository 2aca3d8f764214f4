"""``teilhabe explain`` as people read it: the value, its arithmetic, every cell with its file and row, what to bear in mind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from teilhabe.codes import wording
from teilhabe.codes.office_time import OFFICE_TIME, stamp
from teilhabe.explaining.explanation import GROUP

Row = Mapping[str, Any]

_WIDTH = 12
_INDENT = " " * (_WIDTH + 3)
_PARTS_SHOWN = 40
_TERMS = ("value", "numerator", "denominator")
_METHODS = {
    "as_delivered": "sum of age bands",
    "exact_sum": "sum of the keys that became this one",
    "moved_key": "moved here from a wrong key",
    "sum_of_municipalities": "sum of municipalities",
    "sum_of_categories": "sum of categories",
    "factor_population": "shares by population, an estimate",
    "factor_area": "shares by area, an estimate",
    "none": "not known: no list of changes says what the unit was made of (marts.dim_territory_doubt, dim_territory_change), "
    "or a number stands under a key of it that is in no register (marts.dim_territory, is_official false)",
}


def lines(found: Row) -> Iterator[str]:
    """The explanation; what is written for the public (wording, caveats, breaks, sources) in German."""
    definition = found["definition"]
    yield f"{found['indicator_code']} {definition['name_de']}"
    known = f", as known at the end of {found['as_of']} ({OFFICE_TIME.key})" if found["as_of"] else ""
    yield f"{found['territory_name']} ({found['territory_code']}), {found['period_name']} ({found['period_code']}){known}"
    if found["is_demo"]:
        yield wording.DEMO
    for value in found["values"]:
        yield ""
        yield from _value(value, found)
    for sentence in found["uncounted"]:
        yield _said("zählt nicht", sentence)
    yield ""
    yield _said("Definition", f"{_version(definition)}: {definition['definition_de']}")
    places = definition["frameworks"]
    if definition["framework_de"]:
        yield _said("Rahmen", f"folgt: {definition['framework_de']}" + (f"; geführt in: {places}" if places else ""))
    if definition["caveat_de"]:
        yield _said("Hinweis", definition["caveat_de"])
    for note in found["breaks_de"]:
        yield _said("Bruch", note)
    for source in found["sources"]:
        yield _said("Quelle", f"{source['attribution']} ({source['licence']})")
    for delivery in found["deliveries"]:
        yield _said(
            "delivery",
            f"{delivery['delivery_id']}: {delivery['file_name']}, {delivery['dataset_id']}, received "
            f"{_time(delivery['received_at'])}, sha256 {delivery['sha256']}",
        )
    release = found["release"]
    if release:
        yield _said(
            "release",
            f"{release['release_id']} of {_time(release['published_at'])}, territories of {release['territorial_state']}, "
            f"software {release['code_version']}",
        )


def _value(value: Row, found: Row) -> Iterator[str]:
    group = [value[name] for name in GROUP if value[name] != "total"]
    if group:
        yield _said(
            "group", " / ".join(group) + (f" ({value['category_name']})" if value["category"] != "total" else "")
        )
    reason = f"; no value: {value['why_no_value']}" if value["why_no_value"] else ""
    small = ", fewer than 30 events" if value["is_small_number"] else ""
    yield _said("value", f"{_number(value['value'])} {value['unit_de']}  (status {_status(value)}{small}){reason}")
    if value["wilson_low"] is not None:
        yield _said("interval", f"{value['wilson_low']:.4f} to {value['wilson_high']:.4f} (95 %, Wilson)")
    if value["denominator"] is not None:
        yield _said(
            "arithmetic",
            f"{_number(value['numerator'])} / {_number(value['denominator'])} x {_number(value['multiplier'])}",
        )
    yield _said("formula", found["formula"])
    yield _said("territory", _territory(value))
    now, *before = _runs([old for old in value["history"] if not _is_later(old, value)], _TERMS)
    yield _said("known", f"{_since(now)}; in this form since release {now['release_id']}")
    for old in before:
        terms = "" if old["denominator"] is None else f" = {_number(old['numerator'])} / {_number(old['denominator'])}"
        yield f"{_INDENT}before: {_number(old['value'])}{terms} ({_status(old)}), {_since(old)}"
    for role in ("numerator", "denominator"):
        cells = [cell for cell in value["cells"] if cell["role"] == role]
        if cells:
            yield from _role(role, value, cells, found["definition"])
    if len(value["definitions"]) > 1:
        yield from _compared(value, found)


def _compared(value: Row, found: Row) -> Iterator[str]:
    """The other definitions of the indicator beside this one."""
    wordings = {d["definition_version"]: d for d in (found["definition"], *found["other_definitions"])}
    for other in value["definitions"]:
        definition = wordings[other["definition_version"]]
        mark = "*" if other["definition_version"] == value["definition_version"] else " "
        yield _said(
            "definitions" if other is value["definitions"][0] else "",
            f"{mark} {other['definition_version']}: {_number(other['value'])} {definition['unit_de']} ({_status(other)}) - "
            f"{definition['definition_de']}",
        )


def _role(role: str, value: Row, cells: Sequence[Row], definition: Row) -> Iterator[str]:
    """Numerator or denominator: one cell, or every cell of the sum or mean it is."""
    if len(cells) == 1 and cells[0]["sign"] > 0 and cells[0]["delivery_id"] is not None:
        [cell] = cells
        yield _said(
            role, f"{_number(value[role])}: {cell['measure_code']}, {cell['period_code']}, from {cell['dataset_id']}"
        )
        yield from _cell(cell, _INDENT)
        return
    mean = " (mean)" if any("mean" in cell["period_rule"] for cell in cells) else ""
    measure = definition[f"{role}_measure_code"]
    yield _said(role, f"{_number(value[role])}{mean}: {measure}, {value[f'{role}_period_code']}")
    for cell in cells:
        head = f"{_INDENT}{'-' if cell['sign'] < 0 else '+'} {cell['measure_code']}, {cell['period_code']}: "
        if cell["delivery_id"] is None:
            yield f"{head}not delivered"
            continue
        yield f"{head}{_number(cell['value'])} ({_status(cell)}), from {cell['dataset_id']}"
        yield from _cell(cell, _INDENT + "  ")


def _cell(cell: Row, indent: str) -> Iterator[str]:
    """The vintages of a cell with their files and rows; of a computed one also what it was computed from."""
    if not cell["is_authoritative"]:
        yield f"{indent}not the number that counts for {cell['measure_code']}, but the one of the dataset the formula keeps to"
    if cell["correction_id"]:
        yield f"{indent}Korrektur {cell['correction_id']} ({cell['correction_action']}): {cell['correction_reason_de']}"
    for vintage in _runs([old for old in cell["history"] if not _is_later(old, cell)], ("value", "row_number")):
        if cell["is_derived"] and not _is_over(vintage, cell):
            continue  # its parts follow
        mark = " " if _is_over(vintage, cell) else "*"
        place = f", {_place(vintage)}" if vintage["row_number"] else ""
        times = vintage["repeated"]
        again = f"; the same in {times} deliver{'y' if times == 1 else 'ies'} before" if times else ""
        yield (
            f"{indent}{mark} {_number(vintage['value'])} {_since(vintage)}: delivery {vintage['delivery_id']}, "
            f"{vintage['file_name']}{place}, sha256 {vintage['sha256'][:16]}{again}{_withdrawn(vintage)}"
        )
    if cell["is_derived"]:
        yield from _parts(cell, indent)


def _parts(cell: Row, indent: str) -> Iterator[str]:
    how = _METHODS[cell["territorial_method"]]
    yield f"{indent}{how}: {len(cell['parts'])} part{'s' if len(cell['parts']) != 1 else ''}"
    for part in cell["parts"][:_PARTS_SHOWN]:
        share = f" x {_number(part['share'])}" if part["share"] != 1 else ""
        head = f"{indent}  + {_told_apart(part, cell)}: {_number(part['value'])}{share} ({_status(part)})"
        if part["is_derived"]:
            leaves = list(_leaves(part))
            yield f"{head}, {_METHODS[part['territorial_method']]}: {'; '.join(_rows_of(leaves))}"
            continue
        yield f"{head}, delivery {part['delivery_id']}, {_place(part)}"
        if part["delivered_value"] is not None and part["delivered_value"] != part["value"]:
            yield f"{indent}    in the file: {_number(part['delivered_value'])}"
        for old in _runs([old for old in part["history"] if not _is_later(old, part)], ("value",)):
            if _is_over(old, part):
                place = f"delivery {old['delivery_id']}, {_place(old)}{_withdrawn(old)}"
                yield f"{indent}    before: {_number(old['value'])} {_since(old)}, {place}"
    if len(cell["parts"]) > _PARTS_SHOWN:
        yield f"{indent}  … {len(cell['parts']) - _PARTS_SHOWN} more (--json)"


def _runs(history: Sequence[Row], names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Vintages that follow each other and say the same as one, newest first: where it stands now, known since the first."""
    run: dict[str, Any] | None = None
    for row in history:
        if (
            run is not None
            and all(run[n] == row[n] for n in (*names, "obs_status", "conf_status"))
            and (run["known_from"] == row["known_until"])
        ):
            run["known_from"] = row["known_from"]
            run["repeated"] += 1
            run["release_id"] = row.get("release_id")
            continue
        if run is not None:
            yield run
        run = {**row, "repeated": 0}
    if run is not None:
        yield run


def _leaves(cell: Row) -> Iterator[Row]:
    for part in cell["parts"]:
        if part["is_derived"]:
            yield from _leaves(part)
        else:
            yield part


def _rows_of(leaves: Sequence[Row]) -> Iterator[str]:
    """ "delivery 7, rows 3, 5 to 9" per delivery."""
    for delivery in dict.fromkeys(leaf["delivery_id"] for leaf in leaves):
        rows = sorted({leaf["row_number"] for leaf in leaves if leaf["delivery_id"] == delivery})
        runs: list[list[int]] = []
        for row in rows:
            if runs and row == runs[-1][-1] + 1:
                runs[-1].append(row)
            else:
                runs.append([row])
        told = ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs)
        yield f"delivery {delivery}, row{'s' if len(rows) > 1 else ''} {told}"


def _told_apart(part: Row, whole: Row) -> str:
    names = []
    if part["territory_code"] != whole["territory_code"]:
        names.append(f"{part['territory_code']} {part['territory_name']}")
    names += [part[name] for name in GROUP if part[name] != whole[name]]
    return ", ".join(names)


def _territory(value: Row) -> str:
    said = {
        "both": "the unit is the same today",
        "as_delivered": "as delivered; the unit has changed since (--converted for the one of today)",
        "converted": "converted to the unit of today",
    }[value["territorial_basis"]]
    method = value["territorial_method"]
    return said + (f"; worst method of its cells: {method}" if method != "as_delivered" else "")


def _version(definition: Row) -> str:
    since = f" ab {definition['valid_from']}" if definition["valid_from"] else ""
    until = f" bis {definition['valid_to']}" if definition["valid_to"] else ""
    default = ", die übliche" if definition["is_default"] else ""
    return (
        f"{definition['definition_version']}{default} (gilt{since}{until})"
        if since or until
        else (f"{definition['definition_version']}{default} (gilt ohne Frist)")
    )


def _is_later(vintage: Row, now: Row) -> bool:
    return bool(vintage["known_from"] > now["known_from"])


def _is_over(vintage: Row, now: Row) -> bool:
    return vintage["known_until"] is not None and bool(vintage["known_until"] <= now["known_from"])


def _since(row: Row) -> str:
    until = f" until {_time(row['known_until'])}" if row["known_until"] is not None else ""
    return f"since {_time(row['known_from'])}{until}"


def _withdrawn(row: Row) -> str:
    """That it was taken back, where that is why it ended."""
    if row["withdrawn_at"] is None:
        return ""
    return f"; withdrawn {_time(row['withdrawn_at'])}: {row['withdrawal_reason']}"


def _place(row: Row) -> str:
    return f"row {row['row_number']}" + (f", column {row['column_number']}" if row["column_number"] else "")


def _status(row: Row) -> str:
    return f"{row['obs_status']}/{row['conf_status']}"


def _time(moment: datetime) -> str:
    return stamp(moment)


def _number(value: Any) -> str:
    return "-" if value is None else f"{value:.10g}" if isinstance(value, float) else f"{value.normalize():f}"


def _said(what: str, text: str) -> str:
    return f"  {what:<{_WIDTH}} {text}"
