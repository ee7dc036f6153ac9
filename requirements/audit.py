"""Check the locked packages for known vulnerabilities: `make audit`.

Exit code 1 names each vulnerability and the version that mends it. What the advisory service does
not know, or could not be asked, is listed as not checked and fails nothing: a machine without
network proves nothing. Whoever makes a release runs it where the service answers.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

LOCK = Path(__file__).with_name("run.txt")
COMMAND = (
    *(sys.executable, "-m", "pip_audit", "--requirement", str(LOCK), "--no-deps", "--disable-pip"),
    *("--format", "json", "--progress-spinner", "off", "--timeout", "10"),
)


def main() -> int:
    """Print the result; return the exit code."""
    audit = subprocess.run(COMMAND, capture_output=True, text=True, check=False)  # noqa: S603
    try:
        packages = json.loads(audit.stdout)["dependencies"]
    except (json.JSONDecodeError, KeyError):
        reason = (audit.stderr.strip() or "no answer").splitlines()[-1]
        print(f"NOT CHECKED for known vulnerabilities: {reason}")
        return 0
    vulnerable = [package for package in packages if package.get("vulns")]
    for package in vulnerable:
        for advisory in package["vulns"]:
            mended = ", ".join(advisory["fix_versions"]) or "no version yet"
            name = f"{package['name']} {package['version']}"
            print(f"{name} has {advisory['id']}; mended in {mended}")
    unchecked = [package["name"] for package in packages if "skip_reason" in package]
    print(f"{len(packages) - len(unchecked)} of {len(packages)} packages checked for known flaws.")
    if unchecked:
        print(f"NOT CHECKED, the advisory service does not answer for: {', '.join(unchecked)}")
    return 1 if vulnerable else 0


if __name__ == "__main__":
    sys.exit(main())
