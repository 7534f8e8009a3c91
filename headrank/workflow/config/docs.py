"""The JSON schema of the config and the tables of ``config/README.md``, from the config's types.

python -m headrank.workflow.config.docs                writes the tables anew
python -m headrank.workflow.config.docs schema.json    writes the schema, for editors
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic_core import PydanticUndefined

from headrank.errors import HeadRankError
from headrank.io.files import write_text
from headrank.options.prompt import PromptOptions
from headrank.settings.classes import plain
from headrank.settings.fields import (
    ABSENT,
    bare,
    choices_of,
    fields_of,
    is_settings,
    members,
    sentence_of,
    type_of,
)
from headrank.settings.kinds import Says
from headrank.workflow.config import keys, method_keys, report_keys, source_keys

ROOT = Path(__file__).resolve().parents[3]
README = ROOT / "config/README.md"
TABLES: dict[str, Any] = {
    "general": ("seed", "candidates", "orders"),
    "models": keys.Model,
    "encoders": keys.Encoder,
    "collections": keys.Collection,
    "sources of models and encoders": source_keys.ModelSource,
    "sources of collections": source_keys.CollectionSource,
    "sets": keys.QuerySet,
    "first_stage": keys.FirstStage,
    "prompt": PromptOptions,
    "reading": keys.Reading,
    "profiling": keys.Profiling,
    "selections": method_keys.Selection,
    "alignments": method_keys.Recipe,
    "methods": method_keys.Method,
    "experiment": keys.Experiment,
    "evaluation": report_keys.Evaluation,
    "report": report_keys.Report,
    "latency": report_keys.Latency,
    "ablations": report_keys.Ablation,
    "estimate": report_keys.Estimate,
    "pathvars": keys.Pathvars,
}
"""What each table of the README shows: a class, a choice of classes by kind, or keys of all."""
_PLACE = re.compile(r"(<!-- keys: (.+?) -->\n).*?(<!-- end of keys -->)", re.DOTALL)


def json_schema() -> dict:
    """Return the JSON Schema of a config, for editors and other programs."""
    made = _untitled(keys.Config.model_json_schema())
    for model in (
        method_keys.AttentionMethod,
        method_keys.GenerativeMethodKeys,
        method_keys.Selection,
    ):
        for key, part in made["$defs"][model.__name__]["properties"].items():
            part.setdefault("description", sentence_of(model, key))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}


def _untitled(part: Any) -> Any:
    """Return a schema without the titles that pydantic makes of names, its texts on one line."""
    if isinstance(part, list):
        return [_untitled(one) for one in part]
    if not isinstance(part, dict):
        return part
    made = {}
    for key, value in part.items():
        # A key of the config may be called title or description; then it holds a schema.
        if key == "title" and isinstance(value, str):
            continue
        made[key] = _line(value) if key == "description" and isinstance(value, str) else value
        made[key] = _untitled(made[key])
    if "patternProperties" in made:
        # pydantic says what names look like, and not that others are refused.
        made["additionalProperties"] = False
    return made


def updated(readme: str) -> str:
    """Return the README's text with its tables written anew.

    Raises:
        HeadRankError: a table that is not known, or one that is missing.
    """
    found = [match[1] for match in _PLACE.finditer(readme)]
    names = [match[2] for match in _PLACE.finditer(readme)]
    if sorted(names) != sorted(TABLES) or not found:
        wrong = sorted({*names} ^ {*TABLES}) or names
        raise HeadRankError(f"{README}: tables that are unknown, missing or there twice: {wrong}")
    return _PLACE.sub(lambda match: match[1] + table(match[2]) + match[3], readme)


def table(name: str) -> str:
    """Return one table in Markdown; of a choice by kind, one table a kind."""
    shown = TABLES[name]
    if isinstance(shown, tuple):
        rows = [_row(keys.Config, key, key) for key in shown]
        return "\n" + _table(rows) + "\n"
    parts = members(bare(shown)[0])
    if not parts:
        return "\n" + _table(_rows(shown)) + "\n"
    return "\n".join(
        f"\n`kind: {tag.strip('<>')}`: {_kind(model)}\n\n{_table(_rows(model, skip=('kind',)))}"
        for tag, model in parts.items()
    )


def _kind(model: type) -> str:
    """Return what a kind is, in a sentence that begins small."""
    return sentence_of(model, "kind")


def _table(rows: Iterable[tuple[str, ...]]) -> str:
    """Return rows as a Markdown table; nothing if there are none."""
    lines = ["| " + " | ".join(row) + " |\n" for row in rows]
    if not lines:
        return "No other keys.\n"
    return "| key | allowed | default | meaning |\n| --- | --- | --- | --- |\n" + "".join(lines)


def _rows(model: type, before: str = "", skip: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the rows of a class, those of the classes inside it under dotted keys."""
    for key in fields_of(model):
        kind, _ = bare(type_of(model, key))
        if key in skip:
            continue
        if is_settings(kind) and not issubclass(kind, source_keys.RepositoryCounts):
            yield from _rows(kind, f"{before}{key}.")
        else:
            yield _row(model, key, before + key)


def _row(model: type, key: str, name: str) -> tuple[str, ...]:
    """Return key, what is allowed, default and meaning of one key."""
    field = fields_of(model)[key]
    return f"`{name}`", _allowed(type_of(model, key)), _default(field), sentence_of(model, key)


def _allowed(kind: Any) -> str:
    """Return what a type allows, in words."""
    inner, notes = bare(kind)
    if choices := choices_of(kind):
        if members(inner):
            return "a mapping"
        return ", ".join(f"`{choice}`" for choice in choices)
    told = [note.allowed for note in notes if isinstance(note, Says)]
    said = told[-1] if told else "a mapping"
    # The README's introduction says what names are made of.
    return "a name" if said == source_keys.NAME else said.replace("<", "&lt;")


def _default(field: Any) -> str:
    """Return a default as YAML writes it; nothing for keys that must be given or may be absent."""
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined or value is ABSENT:
        return "" if value is ABSENT else "(required)"
    value = plain(value)
    if isinstance(value, str):
        return f"`{value}`" if re.fullmatch(r"\S+", value) else f"`{json.dumps(value)}`"
    if isinstance(value, list):
        return f"`[{', '.join(map(str, value))}]`"
    return f"`{json.dumps(value)}`"


def _line(text: str) -> str:
    return " ".join(text.split())


def main(arguments: Sequence[str]) -> None:
    """Write the schema to each file that is named; without one, the tables."""
    for path in arguments:
        write_text(path, json.dumps(json_schema(), indent=1) + "\n")
    if not arguments:
        write_text(README, updated(README.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main(sys.argv[1:])
