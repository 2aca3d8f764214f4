"""The data contracts: one ODCS 3.1 file per dataset says who delivers what, when and in which layout.

The standard's own part is checked with the standard's own model, unknown keys forbidden; what the standard has no
term for stands in ``customProperties``: ``layout`` (how the delivered file looks), ``calendar`` (what period it is for) and,
where they are needed, ``senders`` (municipalities that deliver a file each), ``approval`` and ``mendable``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import yaml
from open_data_contract_standard.model import CustomProperty, OpenDataContractStandard, SchemaProperty, Support
from pydantic import BaseModel, ValidationError

from teilhabe.codes.groups import AGE_BAND, NATIONALITIES, OBSERVATION_COLUMNS, SEXES
from teilhabe.codes.measures import measure_codes
from teilhabe.contract import naming
from teilhabe.contract.model import (
    MAIL_ADDRESS,
    ApprovalProperty,
    Calendar,
    CalendarProperty,
    Column,
    ContainerProperty,
    Contract,
    ForOfficesProperty,
    LayoutProperty,
    MendableProperty,
    Sender,
    Server,
)
from teilhabe.errors import ContractError

SUFFIX = ".odcs.yaml"


SERVER_TYPES = frozenset({"local", "sftp", "s3", "api", "custom"})

_COLUMN_TEXTS: dict[str, tuple[str, str]] = {
    "measure_code": ("What was counted; codes as in dim_measure.", "Was gezählt wurde; Codes wie in dim_measure."),
    "territory_code": (
        "Official key of the territory: DG, state 2, region 3, county 5, municipality 8, association 9 digits.",
        "Amtlicher Schlüssel des Gebiets, wie geliefert.",
    ),
    "territory_name": ("Name delivered beside the key.", "Name, der neben dem Schlüssel geliefert wurde."),
    "period_code": ("Reference period, e.g. 2024, 2024-12-31 or SY2024.", "Berichtszeitraum oder Stichtag."),
    "nationality": ("Nationality group.", "Staatsangehörigkeitsgruppe."),
    "sex": ("Sex.", "Geschlecht."),
    "age_band": ("Age group, lower and upper bound in completed years.", "Altersgruppe in vollendeten Jahren."),
    "category": ("The measure's own breakdown, total otherwise.", "Eigene Gliederung der Kennzahl, sonst total."),
    "category_name": ("Name of the category as delivered.", "Name der Gliederung, wie geliefert."),
    "value": ("The number; null when suppressed or missing.", "Der Wert; leer, wenn gesperrt oder nicht vorhanden."),
    "obs_status": ("Observation status, SDMX CL_OBS_STATUS.", "Beobachtungsstatus nach SDMX."),
    "conf_status": ("Confidentiality status, SDMX CL_CONF_STATUS.", "Geheimhaltungsstatus nach SDMX."),
}


ESCALATION = "escalation"
"""Channel of the support entry that hears of what stays open."""

_CUSTOM_PROPERTIES = ("layout", "calendar", "senders", "approval", "mendable", "for_offices", "container")

SERVER_PROPERTIES = ("connection", "pattern", "sender_pattern", "kind", "authentication_server")


def load_contracts(agencies: Path) -> dict[str, Contract]:
    """All contracts below ``agencies``, by dataset id in alphabetical order."""
    contracts = [load_contract(path) for path in sorted(agencies.glob(f"*/*{SUFFIX}"))]
    return {contract.dataset_id: contract for contract in sorted(contracts, key=lambda c: c.dataset_id)}


def contract_path(agencies: Path, dataset_id: str) -> Path:
    """Where the contract of a dataset stands, if there is one."""
    agency, _, dataset = dataset_id.partition("__")
    return agencies / agency / f"{dataset}{SUFFIX}"


def load_contract(path: Path) -> Contract:
    """One contract; ``ContractError`` names the file and the key that is wrong. Read again only when its file has changed."""
    try:
        now = path.stat()
        return _read(path, now.st_mtime_ns, now.st_size)
    except (OSError, UnicodeDecodeError) as error:
        raise ContractError(f"{path}: cannot be read as UTF-8 text ({error}).") from error


@lru_cache(maxsize=512)
def _read(path: Path, _changed_at: int, _size: int) -> Contract:
    """Nobody can change a contract that was read, so all share it."""
    return parse_contract(path.read_text(encoding="utf-8"), path)


def parse_contract(text: str, path: Path) -> Contract:
    """As ``load_contract``, for a text that would stand at ``path``."""
    raw = strict_yaml(text, path)
    if not isinstance(raw, dict):
        raise ContractError(f"{path}: must be a mapping with the keys of the Open Data Contract Standard.")
    return _build(_validated(OpenDataContractStandard, raw, path, ""), path)


def strict_yaml(text: str, path: Path) -> Any:
    """YAML as a person reads it (see ``_StrictLoader``); ``ContractError`` names the file."""
    try:
        return yaml.load(text, Loader=_StrictLoader)  # noqa: S506 - a subclass of SafeLoader
    except yaml.YAMLError as error:
        raise ContractError(f"{path}: not valid YAML - {' '.join(str(error).split())}.") from error


def _build(standard: OpenDataContractStandard, path: Path) -> Contract:
    agency, dataset = path.parent.name, path.name.removesuffix(SUFFIX)
    dataset_id = f"{agency}__{dataset}"

    def fail(key: str, sentence: str) -> ContractError:
        return ContractError(f"{path}: {key}: {sentence}")

    def need(value: Any, key: str) -> Any:
        if value is None or value in ("", []):
            raise fail(key, "is missing.")
        return value

    if standard.kind != "DataContract":
        raise fail("kind", f"must be 'DataContract', found {standard.kind!r}.")
    if not str(standard.apiVersion or "").startswith("v3.1"):
        raise fail("apiVersion", f"must be v3.1.x, found {standard.apiVersion!r}.")
    if standard.id != dataset_id:
        raise fail("id", f"must be '{dataset_id}' as folder and file say, found {standard.id!r}.")
    if problem := naming.problem_of_id(dataset_id):
        raise fail("id", problem)
    schema = need(standard.schema_, "schema")
    if len(schema) != 1:
        raise fail("schema", f"must hold exactly one table, found {len(schema)}.")
    if schema[0].name != dataset_id:
        raise fail("schema[0].name", f"must be '{dataset_id}', found {schema[0].name!r}.")

    custom = {}
    for index, entry in enumerate(standard.customProperties or []):
        if entry.property not in _CUSTOM_PROPERTIES:
            raise fail(
                f"customProperties[{index}].property",
                f"must be one of {', '.join(_CUSTOM_PROPERTIES)}, found {entry.property!r}.",
            )
        if entry.property in custom:
            raise fail(f"customProperties[{index}].property", f"'{entry.property}' is there twice.")
        custom[entry.property] = (index, entry.value)
    for name in ("layout", "calendar"):
        need(custom.get(name), f"customProperties ({name})")
    layout = _validated(LayoutProperty, custom["layout"][1], path, f"customProperties[{custom['layout'][0]}].value")
    calendar = _validated(
        CalendarProperty, custom["calendar"][1], path, f"customProperties[{custom['calendar'][0]}].value"
    )

    links = {entry.type: entry for entry in standard.authoritativeDefinitions or []}
    for kind in ("licence", "attribution"):
        need(links.get(kind) and links[kind].description, f"authoritativeDefinitions ({kind}).description")
    description = need(standard.description, "description")
    team = need(standard.team, "team")
    if isinstance(team, list):
        raise fail("team", "must be an object with name and description, not a list of persons.")
    support = need(standard.support, "support")

    offices = _for_offices(custom.get("for_offices"), layout, path)
    contract = Contract(
        dataset_id=dataset_id,
        agency=agency,
        dataset=dataset,
        title_de=need(standard.name, "name"),
        version=need(standard.version, "version"),
        status=need(standard.status, "status"),
        purpose=need(description.purpose, "description.purpose"),
        limitations=description.limitations or "",
        columns=[_column(p, i, path) for i, p in enumerate(need(schema[0].properties, "schema[0].properties"))],
        layouts=layout.files,
        symbols=layout.symbols,
        secrecy_method=layout.secrecy,
        constants=layout.constants,
        levels=layout.levels,
        servers=list(_servers(standard, path)),
        senders=_senders(custom.get("senders"), path),
        office=need(team.description or team.name, "team.description"),
        contact=need(support[0].url, "support[0].url").removeprefix("mailto:"),
        escalation_contact=_escalation(support, path),
        calendar=_calendar(standard, calendar, path),
        mendable=_mendable(custom.get("mendable"), path),
        definitions=offices.definitions,
        remarks_de=offices.remarks,
        approval_hours=_approval_hours(custom.get("approval"), path),
        container_bytes=_container_bytes(custom.get("container"), path),
        licence=links["licence"].description or "",
        licence_url=links["licence"].url or "",
        attribution=links["attribution"].description or "",
        tags=standard.tags or [],
        path=path,
    )
    where = f"customProperties[{custom['layout'][0]}].value"
    _check_columns(contract, path)
    _check_coordinates(contract, path, where)
    return contract


def _mendable(given: tuple[int, Any] | None, path: Path) -> bool:
    if given is None:
        return True
    index, value = given
    return _validated(MendableProperty, {"value": value}, path, f"customProperties[{index}]").value


def _for_offices(given: tuple[int, Any] | None, layout: LayoutProperty, path: Path) -> ForOfficesProperty:
    if given is None:
        return ForOfficesProperty()
    index, value = given
    found = _validated(ForOfficesProperty, value, path, f"customProperties[{index}].value")
    known = {text for file in layout.files for text in file.texts()}
    for term in found.definitions:
        if term not in known:
            raise ContractError(
                f"{path}: customProperties[{index}].value.definitions: {term!r} is no label or column of any layout."
            )
    return found


def _approval_hours(given: tuple[int, Any] | None, path: Path) -> int | None:
    if given is None:
        return None
    index, value = given
    return _validated(ApprovalProperty, value, path, f"customProperties[{index}].value").hours


def _container_bytes(given: tuple[int, Any] | None, path: Path) -> int | None:
    if given is None:
        return None
    index, value = given
    return _validated(ContainerProperty, value, path, f"customProperties[{index}].value").megabytes * 1_000_000


def _escalation(support: list[Support], path: Path) -> str | None:
    """The address of the entry with channel ``escalation``; the first entry is the office itself."""
    found = None
    for index, entry in enumerate(support):
        if entry.channel != ESCALATION:
            continue
        where = f"{path}: support[{index}]"
        if index == 0:
            raise ContractError(f"{where}.channel: the first entry is the office's own address, not '{ESCALATION}'.")
        if found is not None:
            raise ContractError(f"{where}.channel: '{ESCALATION}' is there twice.")
        found = (entry.url or "").removeprefix("mailto:")
        if not re.fullmatch(MAIL_ADDRESS, found):
            raise ContractError(f"{where}.url: must be mailto: and an address, found {entry.url!r}.")
    return found


def _column(prop: SchemaProperty, index: int, path: Path) -> Column:
    where = f"schema[0].properties[{index}]"
    if not prop.name or not re.fullmatch(r"[a-z][a-z0-9_]*", prop.name):
        raise ContractError(f"{path}: {where}.name: must be snake_case, found {prop.name!r}.")
    if prop.logicalType not in ("string", "number", "integer", "date"):
        raise ContractError(
            f"{path}: {where}.logicalType: must be string, number, integer or date, found {prop.logicalType!r}."
        )
    english, german = _COLUMN_TEXTS.get(prop.name, ("", ""))
    for entry in prop.customProperties or []:
        if entry.property != "description_de":
            raise ContractError(f"{path}: {where}.customProperties: only description_de, found {entry.property!r}.")
        german = str(entry.value)
    english = prop.description or english
    if not english or not german:
        raise ContractError(f"{path}: {where}: column '{prop.name}' needs a description and a description_de.")
    return Column(
        name=prop.name,
        logical_type=prop.logicalType,  # type: ignore[arg-type]
        required=bool(prop.required),
        office_term=prop.businessName or "",
        description_en=english,
        description_de=german,
        unique_key=bool(prop.primaryKey),
    )


def _servers(standard: OpenDataContractStandard, path: Path) -> Iterator[Server]:
    for index, server in enumerate(standard.servers or []):
        if server.type not in SERVER_TYPES:
            kinds = ", ".join(sorted(SERVER_TYPES))
            raise ContractError(f"{path}: servers[{index}].type: must be one of {kinds}, found {server.type!r}.")
        if not server.server:
            raise ContractError(f"{path}: servers[{index}].server: is missing.")
        yield Server(
            server=server.server,
            type=server.type,
            location=server.location,
            host=server.host,
            port=None if server.port is None else str(server.port),
            path=server.path,
            endpoint_url=server.endpointUrl,
            format=server.format,
            description=server.description,
            **_server_properties(server.customProperties or [], f"servers[{index}].customProperties", path),
        )


def _server_properties(entries: list[CustomProperty], where: str, path: Path) -> dict[str, str]:
    said: dict[str, str] = {}
    for index, entry in enumerate(entries):
        if entry.property not in SERVER_PROPERTIES:
            known = ", ".join(SERVER_PROPERTIES)
            raise ContractError(f"{path}: {where}[{index}].property: must be one of {known}, found {entry.property!r}.")
        if not isinstance(entry.value, str) or not entry.value:
            raise ContractError(f"{path}: {where}[{index}].value: must be a text, found {entry.value!r}.")
        said[entry.property] = entry.value
    return said


def _senders(entry: tuple[int, Any] | None, path: Path) -> list[Sender]:
    if entry is None:
        return []
    index, value = entry
    where = f"customProperties[{index}].value"
    if not isinstance(value, list) or not value:
        raise ContractError(f"{path}: {where}: must be a list of senders.")
    senders = [_validated(Sender, one, path, f"{where}[{at}]") for at, one in enumerate(value)]
    codes = [sender.territory_code for sender in senders]
    for at, code in enumerate(codes):
        if code in codes[:at]:
            raise ContractError(f"{path}: {where}[{at}].territory_code: {code!r} is there twice.")
    return senders


_FREQUENCIES = {
    ("5", "y"): "per_term",
    ("1", "y"): "yearly",
    ("6", "m"): "half_yearly",
    ("3", "m"): "quarterly",
    ("1", "m"): "monthly",
}


def _calendar(standard: OpenDataContractStandard, ours: CalendarProperty, path: Path) -> Calendar:
    sla = {entry.property: entry for entry in standard.slaProperties or []}
    for index, entry in enumerate(standard.slaProperties or []):
        if entry.property not in ("frequency", "latency"):
            raise ContractError(
                f"{path}: slaProperties[{index}].property: only frequency and latency, found {entry.property!r}."
            )
    for name in ("frequency", "latency"):
        if name not in sla:
            raise ContractError(f"{path}: slaProperties: '{name}' is missing.")
    frequency = _FREQUENCIES.get((str(sla["frequency"].value), str(sla["frequency"].unit)))
    if frequency is None:
        found = f"{sla['frequency'].value} {sla['frequency'].unit}"
        raise ContractError(f"{path}: slaProperties (frequency): must be 5 y, 1 y, 6 m, 3 m or 1 m, found '{found}'.")
    latency = sla["latency"]
    if latency.unit != "d" or not isinstance(latency.value, int) or isinstance(latency.value, bool):
        found = f"{latency.value} {latency.unit}"
        raise ContractError(f"{path}: slaProperties (latency): must be a whole number of d (days), found '{found}'.")
    return Calendar.model_validate(
        {
            "frequency": frequency,
            "lag_days": latency.value,
            "reference": ours.reference,
            "grace_days": ours.grace_days,
            "first_period": ours.first_period,
        }
    )


def _check_columns(contract: Contract, path: Path) -> None:
    names = contract.column_names
    for name in names:
        if names.count(name) > 1:
            raise ContractError(f"{path}: schema[0].properties: column '{name}' is there twice.")
    if long := naming.too_long(names):
        raise ContractError(f"{path}: schema[0].properties: '{long}' is longer than {naming.LONGEST} bytes.")
    if contract.is_observation:
        for name in OBSERVATION_COLUMNS:
            if name not in names:
                raise ContractError(f"{path}: schema[0].properties: an observation dataset needs the column '{name}'.")
        if "measure_code" not in names and "measure_code" not in contract.constants:
            raise ContractError(
                f"{path}: schema[0].properties: neither a column nor a constant is called 'measure_code'."
            )
    if not contract.unique_key:
        raise ContractError(f"{path}: schema[0].properties: no column is marked primaryKey.")


def _check_coordinates(contract: Contract, path: Path, where: str) -> None:
    names = set(contract.column_names)
    for column, value in contract.constants.items():
        if column in names:
            raise ContractError(f"{path}: {where}.constants.{column}: is a column of the table, so it is no constant.")
        _check_code(path, f"{where}.constants.{column}", column, value)
    for index, layout in enumerate(contract.layouts):
        here = f"{where}.files[{index}]"
        targets = {
            *getattr(layout, "columns", {}),
            *getattr(layout, "fields", {}),
            *getattr(layout, "constants", {}),
        }
        for column in sorted(targets - names):
            raise ContractError(f"{path}: {here}.columns.{column}: is no column of schema[0].properties.")
        for column, value in getattr(layout, "constants", {}).items():
            _check_code(path, f"{here}.constants.{column}", column, value)
        for place, coordinates in layout.coordinates():
            for column, value in (coordinates or {}).items():
                key = f"{here}.{place}.{column}"
                if column not in names:
                    raise ContractError(f"{path}: {key}: is no column of schema[0].properties.")
                _check_code(path, key, column, value)
        for text in layout.optional:
            if text not in layout.labels and text not in getattr(layout, "sheet_labels", {}):
                raise ContractError(f"{path}: {here}.optional: {text!r} is none of the labels.")
        known = set(layout.texts())
        for text, validity in layout.validity.items():
            for one in (text, validity.instead_of):
                if one is not None and one not in known:
                    raise ContractError(f"{path}: {here}.validity: {one!r} is neither a label nor a column's header.")


def _check_code(path: Path, key: str, column: str, value: str) -> None:
    known = {"nationality": NATIONALITIES, "sex": SEXES, "measure_code": measure_codes(path.parents[2])}.get(column)
    if known and value not in known:
        raise ContractError(f"{path}: {key}: must be one of {', '.join(sorted(known))}, found {value!r}.")
    if column == "age_band" and not AGE_BAND.fullmatch(value):
        raise ContractError(f"{path}: {key}: must look like u3, 3_5, 65plus or total, found {value!r}.")


Model = TypeVar("Model", bound=BaseModel)


def _validated(model: type[Model], raw: Any, path: Path, where: str) -> Model:
    try:
        return model.model_validate(raw, extra="forbid")
    except ValidationError as error:
        first = error.errors()[0]
        key = where
        for part in first["loc"]:
            key += f"[{part}]" if isinstance(part, int) else f".{part}"
        what = "is an unknown key" if first["type"] == "extra_forbidden" else first["msg"]
        raise ContractError(f"{path}: {key.lstrip('.')}: {what}.") from error


class _StrictLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML as a person reads it: a key twice is an error, and ``3_5``, ``no`` or ``2024-12-31`` stay text.

    YAML 1.1 reads the age band ``3_5`` as the number 35.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is there twice", key_node.start_mark)
            seen.add(key)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


_StrictLoader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("tag:yaml.org,2002:bool", r"true|false", "tf"),
    ("tag:yaml.org,2002:int", r"-?(0|[1-9][0-9]*)", "-0123456789"),
    ("tag:yaml.org,2002:null", r"null|~|", ["n", "~", ""]),
):
    _StrictLoader.add_implicit_resolver(_tag, re.compile(f"^(?:{_pattern})$"), list(_first))
