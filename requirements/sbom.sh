#!/usr/bin/env bash
# Write requirements/sbom.cdx.json (CycloneDX): what is shipped, with versions and licences.
#
# It is made of the run set, installed on its own; nothing of it depends on this machine or the time.
set -euo pipefail
cd "$(dirname "$0")/.."
supply=.venv-supply/bin
shipped=$(mktemp -d)
trap 'rm -rf "$shipped"' EXIT
"${PYTHON:-python3}" -m venv --without-pip "$shipped"
"$supply/pip" --quiet --python "$shipped/bin/python" install --require-hashes --only-binary :all: \
    -r requirements/run.txt
"$supply/cyclonedx-py" environment --output-reproducible --output-format JSON \
    --pyproject pyproject.toml --output-file "$shipped/sbom.json" "$shipped/bin/python"
# Links are left out: names, versions and licences are what a list is read for. The scripts of others
# that the pages load are added: each folder of web/pages/vendor says what it holds.
"$supply/python" - "$shipped/sbom.json" > requirements/sbom.cdx.json <<'PYTHON'
import json, pathlib, sys, tomllib

def without_links(part):
    if isinstance(part, dict):
        return {name: without_links(one) for name, one in part.items() if name != "externalReferences"}
    return [without_links(one) for one in part] if isinstance(part, list) else part

def vendored(note):
    told = tomllib.loads(note.read_text())
    purl = f"pkg:npm/{told['name']}@{told['version']}"
    licences = [{"license": {"acknowledgement": "declared", "id": told["license"]}}]
    return {"bom-ref": purl, "licenses": licences, "name": told["name"], "purl": purl,
            "type": "library", "version": told["version"]}

shipped = without_links(json.load(open(sys.argv[1])))
notes = sorted(pathlib.Path("src/tillbell/web/pages/vendor").glob("*/vendored.toml"))
shipped["components"] += map(vendored, notes)
print(json.dumps(shipped, indent=1))
PYTHON
