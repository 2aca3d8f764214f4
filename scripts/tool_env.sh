#!/bin/sh
# Creates .venv/.tools: programs that check the project but need not share its environment (datacontract-cli pins
# libraries of its own, hadolint is a program). Exactly what requirements-tools.lock says; does nothing when it is up to date.
set -eu
cd "$(dirname "$0")/.."
sh scripts/setup.sh dev

tools=.venv/.tools
wanted="$(cksum <requirements-tools.lock) $(cksum <scripts/tool_env.sh) $(pwd)"
if [ -x $tools/bin/python ] && [ "$(cat $tools/.installed 2>/dev/null || true)" = "$wanted" ]; then
    exit 0
fi

# Without a home of its own uv does not know where its cache belongs.
if [ -z "${UV_CACHE_DIR:-}" ] && { [ -z "${HOME:-}" ] || [ ! -w "${HOME:-}" ]; }; then
    export UV_CACHE_DIR="$(pwd)/.venv/.cache"
fi
if command -v uv >/dev/null 2>&1; then uv=uv; else uv=.venv/.uv/bin/uv; fi
eval "$(.venv/bin/python scripts/pip_to_uv.py)"
export UV_PYTHON_DOWNLOADS=never

echo "tools: installing datacontract-cli and hadolint into $tools"
rm -rf $tools
"$uv" venv --quiet --python .venv/bin/python $tools
"$uv" pip sync --quiet --require-hashes --python $tools/bin/python requirements-tools.lock
echo "$wanted" >$tools/.installed
