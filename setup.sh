#!/usr/bin/env bash
# Make .venv from the locks, wheels only, each with its hash: `./setup.sh run` is what the gateway
# needs, `./setup.sh dev` adds what tests and checks need. Uses uv where it is installed, else pip.
set -euo pipefail
cd "$(dirname "$0")"
set=${1:-run}
case $set in
    run) locks=(-r requirements/run.txt -r requirements/build.txt) ;;
    dev) locks=(-r requirements/dev.txt) ;; # holds the packages of the others too
    *) echo "usage: ./setup.sh [run|dev]" >&2; exit 2 ;;
esac

python=${PYTHON:-python3}
if command -v uv >/dev/null 2>&1; then
    [ -x .venv/bin/python ] || uv venv --quiet --python "$python" .venv
    install=(uv pip install --quiet --python .venv/bin/python)
else
    [ -x .venv/bin/pip ] || "$python" -m venv --clear .venv
    install=(.venv/bin/pip install --quiet --disable-pip-version-check)
fi
echo "installing the $set set into .venv" >&2
"${install[@]}" --require-hashes --only-binary :all: "${locks[@]}"
"${install[@]}" --no-deps --no-build-isolation --editable .
touch ".venv/.$set-ready"
