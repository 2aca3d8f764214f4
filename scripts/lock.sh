#!/bin/sh
# Renews the lock files: for every platform and Python >= 3.11, with hashes, without any address of an index.
# UPGRADE=1 raises all versions; otherwise what is locked stays.
set -eu
cd "$(dirname "$0")/.."
[ -x .venv/bin/python ] || sh scripts/setup.sh
if command -v uv >/dev/null 2>&1; then uv=uv; else uv=.venv/.uv/bin/uv; fi
eval "$(.venv/bin/python scripts/pip_to_uv.py)"
export UV_PYTHON_DOWNLOADS=never
# UV_CUSTOM_COMPILE_COMMAND would be pointless: the header is left out, it would name the machine's options.
compile() {
    "$uv" pip compile --quiet --universal --generate-hashes --python .venv/bin/python --python-version 3.11 \
        --no-header --no-emit-index-url --no-emit-find-links ${UPGRADE:+--upgrade} "$@"
}
compile pyproject.toml --output-file requirements.lock
# On top of it, at its versions: what tests and linters need, and what installs the project.
compile --group dev --constraints requirements.lock pyproject.toml --output-file requirements-dev.lock
compile --group pyproject.toml:build --output-file requirements-build.lock
compile --group pyproject.toml:tools --output-file requirements-tools.lock
if grep -nE '^ *(--(extra-)?index-url|--find-links)|://|@ file' requirements*.lock; then
    echo "lock: a lock file names an address; it must work from any package index." >&2
    exit 1
fi
