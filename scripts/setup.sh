#!/bin/sh
# Creates .venv with exactly what requirements.lock says, or with `dev` what requirements-dev.lock says: tests and linters
# as well. Does nothing when it is up to date; who has the larger one keeps it. Works without HOME, as root or not, and takes package indexes, proxies and certificates from pip's configuration.
set -eu
cd "$(dirname "$0")/.."

fail() {
    echo "setup: $1" >&2
    exit 1
}

usable() {
    "$1" -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

lock=requirements.lock
if [ "${1:-}" = dev ] || grep -q "^requirements-dev.lock" .venv/.installed 2>/dev/null; then
    lock=requirements-dev.lock
fi
wanted="$lock $(cat $lock requirements-build.lock pyproject.toml scripts/setup.sh | cksum) $(pwd)"
if [ -x .venv/bin/python ] && [ "$(cat .venv/.installed 2>/dev/null || true)" = "$wanted" ] && usable .venv/bin/python; then
    exit 0
fi

# Without a home of its own uv does not know where its cache belongs.
if [ -z "${UV_CACHE_DIR:-}" ] && { [ -z "${HOME:-}" ] || [ ! -w "${HOME:-}" ]; }; then
    export UV_CACHE_DIR="$(pwd)/.venv/.cache"
fi

if [ -x .venv/bin/python ] && usable .venv/bin/python; then
    python="$(.venv/bin/python -c 'import sys; print(sys._base_executable)')"
    usable "$python" || python=.venv/bin/python
else
    python=
    # Versions the whole lock was tried with come first.
    for candidate in ${PYTHON:-} python3.13 python3.12 python3.11 python3.14 python3 python; do
        if usable "$candidate"; then
            python="$(command -v "$candidate")"
            break
        fi
    done
    [ -n "$python" ] || fail "no Python 3.11 or newer was found; install one (Debian: apt-get install python3 python3-venv)."
    echo "setup: creating .venv with $("$python" --version)"
    rm -rf .venv
    "$python" -m venv --without-pip .venv || fail "$python cannot create a virtual environment (Debian: apt-get install python3-venv)."
fi

if command -v uv >/dev/null 2>&1; then
    uv=uv
else
    uv="$(pwd)/.venv/.uv/bin/uv"
    if [ ! -x "$uv" ]; then
        echo "setup: installing uv into .venv"
        if "$python" -m pip --version >/dev/null 2>&1; then
            "$python" -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target .venv/.uv uv ||
                fail "pip could not install uv; the lines above say why."
        else
            rm -rf .venv/.uv
            "$python" -m venv .venv/.uv >/dev/null 2>&1 ||
                fail "neither uv nor pip was found; install one of them (Debian: apt-get install python3-pip)."
            .venv/.uv/bin/python -m pip install --quiet --disable-pip-version-check uv ||
                fail "pip could not install uv; the lines above say why."
        fi
    fi
fi

eval "$("$python" scripts/pip_to_uv.py)"
export UV_PYTHON_DOWNLOADS=never

echo "setup: installing the packages of $lock"
rm -f .venv/.installed
"$uv" pip sync --require-hashes --compile-bytecode --python .venv/bin/python $lock
# What installs the project lies beside what runs, not in it.
rm -rf .venv/.build
"$uv" pip install --quiet --require-hashes --python .venv/bin/python --target .venv/.build --requirements requirements-build.lock
PYTHONPATH="$(pwd)/.venv/.build" \
    "$uv" pip install --quiet --no-build-isolation --no-deps --no-index --python .venv/bin/python --editable .
# Every command and every task is a process that imports the package, also where PYTHONDONTWRITEBYTECODE is set.
.venv/bin/python -m compileall -q plugins dags demo || true
# dbt reads the project now and not in the first build; should that fail, the build says why.
.venv/bin/python -m teilhabe.building.dbt_reading >/dev/null 2>&1 || echo "setup: dbt has not read the project yet"
echo "$wanted" >.venv/.installed
echo "setup: done"
