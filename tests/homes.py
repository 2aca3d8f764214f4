"""Homes that tests begin with: each kind is made once in a run, by whichever worker wants it first, stopped, and copied after that."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from teilhabe.airflow import metadata, services
from teilhabe.pipeline import installing
from teilhabe.server import embedded, provisioning
from teilhabe.settings import Settings

_LEFT_OUT = ("warehouse.json", "airflow.port")
"""Ports: several copies run at once."""


def _with_airflow(settings: Settings) -> None:
    installing.install(settings)
    metadata.migrate(settings, services.component_environment(settings))


KINDS: Mapping[str, Callable[[Settings], None]] = {
    "provisioned": lambda _: None,
    "installed": installing.install,
    "with Airflow": _with_airflow,
}
"""What is done in a home whose server is provisioned: ``ops``, raw tables and calendar of the contracts as they are; Airflow's
metadata as well. Nothing has arrived in any of them."""


@dataclass(frozen=True)
class Homes:
    """The kept homes of one run; ``shared`` is a folder that all of its workers see."""

    shared: Path
    settings_for: Callable[[Path], Settings]

    def lay(self, kind: str, target: Path) -> None:
        """A home of this kind at ``target``, where nothing is yet. Its server does not run."""
        with (self.shared / f"{kind}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            kept = self._folder() / kind
            if not kept.exists():
                draft = kept.with_name(f"{kind}.draft")
                self._make(kind, draft)
                draft.rename(kept)
        if (kept / "postgres").is_symlink():  # the server's account does not reach it there: the data lie elsewhere
            self._make(kind, target)
        else:
            subprocess.run(["cp", "-a", "--reflink=auto", str(kept), str(target)], check=True)

    def _make(self, kind: str, home: Path) -> None:
        settings = self.settings_for(home)
        embedded.ensure_running(settings)
        try:
            provisioning.provision(settings)
            KINDS[kind](settings)
        finally:
            embedded.stop(settings)
        for name in _LEFT_OUT:
            (settings.run / name).unlink(missing_ok=True)

    def remove(self) -> None:
        """The run is over."""
        if not (self.shared / "homes.path").exists():
            return
        for kind in KINDS:
            embedded.discard(self.settings_for(self._folder() / kind))
        shutil.rmtree(self._folder(), ignore_errors=True)

    def _folder(self) -> Path:
        """Outside of pytest's temporary directory, which is closed to the account of the server."""
        said = self.shared / "homes.path"
        with (self.shared / "homes.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not said.exists():
                folder = Path(tempfile.mkdtemp(prefix="teilhabe-test-kept-"))
                folder.chmod(0o755)
                said.write_text(str(folder), encoding="utf-8")
        return Path(said.read_text(encoding="utf-8"))
