"""docs/providers.md says of each provider what its adapter says."""

import re
from pathlib import Path

from tests.cases import each
from tillbell.providers import PROVIDERS
from tillbell.providers.kit.base import Provider

PAGE = (Path(__file__).parents[2] / "docs/providers.md").read_text(encoding="utf-8")
ROWS = {
    cells[1].strip(): [cell.strip(" `") for cell in cells[2:]]
    for cells in (line.split("|") for line in PAGE.splitlines() if line.startswith("| [`"))
}
SECTIONS = dict(re.findall(r"^### (\S+)\n(.*?)(?=^##|\Z)", PAGE, re.DOTALL | re.MULTILINE))
COMMON = PAGE.partition("## At a glance")[0]
each_provider = each("provider", PROVIDERS.values(), ids=PROVIDERS)


# What a custom source proves is declared by its owner.
@each("provider", [one for one in PROVIDERS.values() if one.name != "custom"])
def test_the_table_tells_proof_and_confidence_as_the_adapter_does(provider: Provider) -> None:
    row = ROWS[f"[`{provider.name}`](#{provider.name})"]
    bare = provider.bare_trust.word if provider.bare_trust is not None else "refused"
    assert row[2:4] == [provider.best_trust.word, bare]
    assert row[5] == provider.confidence.value


@each_provider
def test_every_setting_is_explained(provider: Provider) -> None:
    section = SECTIONS[provider.name]
    told = set(re.findall(r"[`\"](\w+)[`\"]", section + COMMON))
    assert {setting.name for setting in provider.settings} <= told


@each_provider
def test_a_table_says_what_each_event_does(provider: Provider) -> None:
    assert re.search(r"^\| .+ \| (what it )?does \|$", SECTIONS[provider.name], re.MULTILINE)


def test_every_row_has_a_section_and_every_section_a_row() -> None:
    assert {f"[`{name}`](#{name})" for name in SECTIONS} == set(ROWS)
    assert SECTIONS.keys() >= PROVIDERS.keys()
