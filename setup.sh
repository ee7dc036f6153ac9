#!/usr/bin/env bash
# Make .venv from the hash-locked set, wheels only. Uses uv where it is installed, else pip.
set -euo pipefail
cd "$(dirname "$0")"
lock=requirements/dev.txt
python=${PYTHON:-python3}
if command -v uv >/dev/null 2>&1; then
    [ -x .venv/bin/python ] || uv venv --quiet --python "$python" .venv
    uv pip install --quiet --python .venv/bin/python --require-hashes --only-binary :all: -r "$lock"
    uv pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation -e .
else
    [ -x .venv/bin/pip ] || "$python" -m venv --clear .venv
    .venv/bin/pip install --quiet --require-hashes --only-binary :all: -r "$lock"
    .venv/bin/pip install --quiet --no-deps --no-build-isolation -e .
fi
touch .venv/.ready
