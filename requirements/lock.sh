#!/usr/bin/env bash
# Make the locks from pyproject.toml: `requirements/lock.sh`, or with newer packages `… --upgrade`.
#
# Needs uv. Every file holds what its part needs in full, with hashes of wheels for every platform;
# what several need has one version, the first file's. Without --upgrade the versions stay.
set -euo pipefail
cd "$(dirname "$0")/.."

# lock FILE OPTION…: FILE is what the options of `uv pip compile` select.
lock() {
    uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --only-binary :all: --no-header --no-annotate "${@:2}" --output-file "requirements/$1"
}

lock run.txt pyproject.toml --extra postgres --extra oidc "$@"
lock build.txt --group build --constraint requirements/run.txt "$@"
lock dev.txt pyproject.toml --extra postgres --extra oidc --group dev \
    --constraint requirements/run.txt --constraint requirements/build.txt "$@"
lock bench.txt --group bench "$@"
lock supply.txt --group supply "$@"
echo "now run: make sbom"
