"""Prints pip's configuration as shell assignments for uv, which does not read it: whoever set up pip is done."""

import os
import shlex
import subprocess
import sys
from pathlib import Path


def main() -> None:
    """Print one `export NAME=value` per setting; nothing where uv has been configured itself."""
    homes = [
        Path(os.environ.get("XDG_CONFIG_HOME") or Path(os.environ.get("HOME") or "/nonexistent") / ".config"),
        Path("/etc"),
    ]
    indexes = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_NO_INDEX")
    if any(name in os.environ for name in (*indexes, "UV_CONFIG_FILE")) or any(
        (home / "uv/uv.toml").exists() for home in homes
    ):
        return
    options = pip_options()
    exports: dict[str, str] = {}
    if index := options.get("index-url"):
        exports["UV_DEFAULT_INDEX"] = index
    if extra := options.get("extra-index-url", "").split():
        exports["UV_INDEX"] = " ".join(extra)
        # As pip does. Every file still has to match a hash of the lock.
        exports["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    if links := options.get("find-links", "").split():
        exports["UV_FIND_LINKS"] = ",".join(links)
    if options.get("no-index", "").lower() in {"1", "true", "yes", "on"}:
        exports["UV_NO_INDEX"] = "1"
    if hosts := options.get("trusted-host", "").split():
        exports["UV_INSECURE_HOST"] = " ".join(hosts)
    if (certificate := options.get("cert")) and "SSL_CERT_FILE" not in os.environ:
        exports["SSL_CERT_FILE"] = certificate
    if (proxy := options.get("proxy")) and not {"HTTPS_PROXY", "https_proxy", "ALL_PROXY"} & set(os.environ):
        exports["HTTPS_PROXY"] = exports["HTTP_PROXY"] = proxy
    if "timeout" in options or "default-timeout" in options:
        exports["UV_HTTP_TIMEOUT"] = options.get("timeout") or options["default-timeout"]
    for name, value in exports.items():
        print(f"export {name}={shlex.quote(value)}")


def pip_options() -> dict[str, str]:
    """Pip's own view of its files and environment; the environment alone where there is no pip."""
    found: dict[str, str] = {}
    # Our environments have no pip of their own; the Python they were made with usually has.
    python = getattr(sys, "_base_executable", sys.executable)
    command = [python, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, check=False, capture_output=True, text=True).stdout  # noqa: S603
    for section in ("global.", "install.", ":env:."):  # later ones win, as in pip
        for line in listed.splitlines():
            name, separator, value = line.partition("=")
            if separator and name.startswith(section):
                # Written with repr(); a list stands as lines in one value.
                words = shlex.split(value.replace("\\n", " "))
                found[name.removeprefix(section)] = " ".join(words)
    if not listed:
        for name, value in os.environ.items():
            if name.startswith("PIP_"):
                found[name.removeprefix("PIP_").lower().replace("_", "-")] = value
    return found


if __name__ == "__main__":
    main()
