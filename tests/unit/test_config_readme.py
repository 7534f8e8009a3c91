"""The description of the configuration names every key of the schema."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]


def keys(part: object) -> set[str]:
    """Return every property name below a part of the schema."""
    found: set[str] = set()
    if isinstance(part, dict):
        found |= set(part.get("properties", {}))
        for value in part.values():
            found |= keys(value)
    elif isinstance(part, list):
        for value in part:
            found |= keys(value)
    return found


SCHEMA = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
TEXT = (ROOT / "config/README.md").read_text()


def words(text: str) -> set[str]:
    """Return the words of code spans and headings."""
    named = re.findall(r"`([^`\n]+)`|^#+ (.+)$", text, re.M)
    return set(re.findall(r"\w+", " ".join("".join(pair) for pair in named)))


def section(key: str) -> str:
    """Return the sections whose heading names a key of the first level, else the introduction."""
    first, *parts = re.split(r"^## ", TEXT, flags=re.M)
    return "".join(p for p in parts if key in p.partition("\n")[0].split()) or first


def test_readme_names_every_key():
    assert not keys(SCHEMA) - words(TEXT), "config/README.md does not describe these keys"


@pytest.mark.parametrize("key", SCHEMA["properties"])
def test_a_key_stands_in_the_section_it_belongs_to(key):
    absent = ({key} | keys(SCHEMA["properties"][key])) - words("## " + section(key))
    assert not absent, f"config/README.md, section {key}, does not describe these keys"


@pytest.mark.parametrize("path", sorted((ROOT / "config").glob("*.yaml")), ids=lambda p: p.stem)
def test_where_a_preset_s_results_go_is_told(path):
    folder = yaml.safe_load(path.read_text()).get("pathvars", {}).get("results", "results")
    assert f"`{folder}/`" in section("pathvars")
