"""The description of the configuration names every key of the schema."""

import re
from pathlib import Path

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


def test_readme_names_every_key():
    schema = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
    text = (ROOT / "config/README.md").read_text()
    # Code spans and headings, cut into words.
    named = re.findall(r"`([^`\n]+)`|^#+ (.+)$", text, re.M)
    words = set(re.findall(r"\w+", " ".join("".join(pair) for pair in named)))
    assert not keys(schema) - words, "config/README.md does not describe these keys"
