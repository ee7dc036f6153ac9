#!/usr/bin/env bash
# Make .venv from the locks, wheels only, each with its hash: `./setup.sh run` is what the gateway
# needs, `./setup.sh dev` adds what tests and checks need. Uses uv where it is installed, else pip.
set -euo pipefail
cd "$(dirname "$0")"
set=${1:-run}
# Bytecode ahead of time pays only where hundreds of processes start: in tests.
case $set in
    run) locks=(-r requirements/run.txt -r requirements/build.txt) uv_bytecode=--no-compile-bytecode pip_bytecode=--no-compile ;;
    dev) locks=(-r requirements/dev.txt) uv_bytecode=--compile-bytecode pip_bytecode=--compile ;; # has the others' packages too
    *) echo "usage: ./setup.sh [run|dev]" >&2; exit 2 ;;
esac

python=${PYTHON:-python3}
if command -v uv >/dev/null 2>&1; then
    [ -x .venv/bin/python ] || uv venv --quiet --python "$python" .venv
    install=(uv pip install --quiet --python .venv/bin/python "$uv_bytecode")
else
    [ -x .venv/bin/pip ] || "$python" -m venv --clear .venv
    install=(.venv/bin/pip install --quiet --disable-pip-version-check "$pip_bytecode")
fi
echo "installing the $set set into .venv" >&2
"${install[@]}" --require-hashes --only-binary :all: "${locks[@]}"
"${install[@]}" --no-deps --no-build-isolation --editable .
touch ".venv/.$set-ready"
