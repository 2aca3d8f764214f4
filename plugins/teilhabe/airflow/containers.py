"""The container's entry point, one component each: ``python -m teilhabe.airflow.containers init|scheduler|...``.

``init`` prepares both databases with the administrator's password and hands each component its own secrets; the others
become that component. Here AIRFLOW__ variables of the container win over ours: hosts and addresses are the deployment's
to decide.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from teilhabe.airflow import configuration, metadata
from teilhabe.airflow.processes import COMPONENTS
from teilhabe.errors import TeilhabeError
from teilhabe.pipeline import installing
from teilhabe.server import provisioning
from teilhabe.settings import Settings, get_settings, prepare_home, secret

HAND_OUT = "TEILHABE_HAND_OUT"
"""Folder in which ``init`` finds one folder per component; each is that component's ``secrets`` and nobody else's."""

_OF_ALL = ("warehouse_airflow.password", "airflow_fernet.key", "airflow_jwt.key", "airflow_session.key")
SECRETS: dict[str, tuple[str, ...]] = {
    # It serves the desk, which reads as an analyst and records what offices hand in.
    "api-server": (*_OF_ALL, "warehouse_analyst.password", "warehouse_loader.password", "desk_csrf.key"),
    # The executor's tasks are its children: they load, build and send.
    "scheduler": (
        *_OF_ALL,
        "warehouse_analyst.password",
        "warehouse_loader.password",
        "warehouse_transformer.password",
        "messages.key",
    ),
    "dag-processor": _OF_ALL,
    "triggerer": _OF_ALL,
}
"""What each component needs; nobody who runs gets the steward's or an administrator's."""


def hand_out(settings: Settings, place: Path) -> None:
    """Write each component's secrets into its folder below ``place``; what lay there and is not its own goes."""
    for component, names in SECRETS.items():
        folder = place / component
        folder.mkdir(mode=0o700, exist_ok=True)
        folder.chmod(0o700)
        for name in names:
            draft = folder / f".{name}.new"
            draft.unlink(missing_ok=True)
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
                file.write(secret(settings, name) + "\n")
            draft.replace(folder / name)
        for path in folder.iterdir():
            if path.name not in names:
                path.unlink()


def main(arguments: Sequence[str]) -> None:
    """Be ``init`` or a component."""
    settings = get_settings()
    known = ["init", *COMPONENTS]
    if len(arguments) != 1 or arguments[0] not in known:
        raise SystemExit(f"usage: python -m teilhabe.airflow.containers {'|'.join(known)}")
    prepare_home(settings)
    if arguments[0] == "init":
        provisioning.provision(settings)
        installing.install(settings)
        metadata.migrate(settings, configuration.component_environment(settings))
        if place := os.environ.get(HAND_OUT):
            hand_out(settings, Path(place))
        return
    environ = {**configuration.component_environment(settings), **os.environ}
    os.chdir(settings.airflow_home)
    command = [sys.executable, "-m", "airflow", *COMPONENTS[arguments[0]]]
    os.execve(command[0], command, environ)  # noqa: S606 - it becomes the container's process and gets its signals


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except TeilhabeError as error:
        raise SystemExit(str(error)) from None
