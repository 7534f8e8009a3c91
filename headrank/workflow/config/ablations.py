"""Ablations as configuration: each changed setting is a method of its own.

``ablations.FACTOR`` names a method, one key of what it is made of, and values beside its
own. Every value becomes a method that differs in that key alone, with a selection or a
recipe of its own where the key belongs to one, so ablated runs are made by the same rules
as all others. Where the key is a mapping, a value may change several of its keys together.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

_PARTS = {"selection": "selections", "alignment": "alignments"}


@dataclass(frozen=True)
class Setting:
    """One value of an ablated key and the method that has it."""

    factor: str
    text: str
    method: str
    default: bool


def expand(config: dict) -> None:
    """Add the methods, selections and recipes of the ablated settings to a config in place.

    A factor whose method or key is not declared adds nothing; :func:`problems` names it.
    """
    for factor, entry in config["ablations"].items():
        if list(problems(config, factor)):
            continue
        for value in entry["values"]:
            _derive(config, factor, entry, value)


def problems(config: Mapping, factor: str) -> Iterator[str]:
    """Yield what is wrong with one factor: an unknown method or key, or a value twice."""
    entry = config["ablations"][factor]
    path = f"ablations.{factor}"
    method = config["methods"].get(entry["method"])
    attention = [n for n, m in config["methods"].items() if m["kind"] == "attention"]
    if method is None or method["kind"] != "attention":
        yield f"{path}.method is {entry['method']!r}; allowed: {', '.join(attention)}"
        return
    first, _, rest = entry["key"].partition(".")
    if first == "selection" and method["heads"] not in config["selections"]:
        yield f"{path}.key is {entry['key']!r}; {entry['method']} has no selection of heads"
        return
    if first == "alignment" and method.get("adapter") not in config["alignments"]:
        yield f"{path}.key is {entry['key']!r}; {entry['method']} is not aligned"
        return
    owner, keys = _owner(config, entry)
    for number, key in enumerate(keys):
        if not isinstance(owner, Mapping) or key not in owner:
            allowed = ", ".join(map(str, owner)) if isinstance(owner, Mapping) else "none"
            where = ".".join(keys[:number])
            yield (
                f"{path}.key is {entry['key']!r}; allowed"
                f"{f' below {where}' if where else ''}: {allowed}"
                + ("" if rest or first in _PARTS else ", selection.KEY, alignment.KEY")
            )
            return
        owner = owner[key]
    mixed = [value for value in entry["values"] if isinstance(value, Mapping)]
    if len(mixed) != (len(entry["values"]) if isinstance(owner, Mapping) else 0):
        kind = "mappings" if isinstance(owner, Mapping) else "no mappings"
        yield f"{path}.values is {entry['values']}; allowed: {kind}, as {entry['key']} has"
        return
    if unknown := [key for value in mixed for key in value if key not in owner]:
        yield f"{path}.values names {unknown[0]!r}; allowed: {', '.join(map(str, owner))}"
        return
    values = [_text(value) for value in [_own(owner, entry), *entry["values"]]]
    if len(set(values)) < len(values):
        twice = next(text for text in values if values.count(text) > 1)
        yield f"{path}.values has {twice} twice, or it is the value that {entry['method']} has"


def settings(config: Mapping) -> list[Setting]:
    """Return every setting, factor by factor, each default first."""
    found = []
    for factor, entry in config["ablations"].items():
        owner, keys = _owner(config, entry)
        for key in keys:
            owner = owner[key]
        found.append(Setting(factor, _text(_own(owner, entry)), entry["method"], True))
        found += [
            Setting(factor, _text(value), _name(factor, entry, value), False)
            for value in entry["values"]
        ]
    return found


def _own(value: Any, entry: Mapping) -> Any:
    """Return the method's own value; of a mapping, the keys that the ablated values name."""
    if not isinstance(value, Mapping):
        return value
    named = {key for one in entry["values"] if isinstance(one, Mapping) for key in one}
    return {key: value[key] for key in value if key in named}


def _owner(config: Mapping, entry: Mapping) -> tuple[Any, list[str]]:
    """Return the mapping that a key starts in, and the key's parts there."""
    method = config["methods"][entry["method"]]
    first, _, rest = entry["key"].partition(".")
    if first == "selection":
        return config["selections"][method["heads"]], rest.split(".")
    if first == "alignment":
        return config["alignments"][method["adapter"]], rest.split(".")
    return method, entry["key"].split(".")


def _derive(config: dict, factor: str, entry: Mapping, value: Any) -> None:
    """Add the method of one value; what it needs apart gets the method's name."""
    name = _name(factor, entry, value)
    method = deepcopy(config["methods"][entry["method"]])
    owner, keys = deepcopy(_owner(config, entry))
    part = owner
    for key in keys[:-1]:
        part = part[key]
    part[keys[-1]] = {**part[keys[-1]], **value} if isinstance(value, Mapping) else value
    first = entry["key"].partition(".")[0]
    if first not in _PARTS:
        method = owner
    else:
        config[_PARTS[first]][name] = owner
        method["heads" if first == "selection" else "adapter"] = name
    if first == "selection" and "adapter" in method:
        # Other heads are trained on their own.
        recipe = deepcopy(config["alignments"][method["adapter"]])
        config["alignments"][name] = recipe | {"selection": name}
        method["adapter"] = name
    config["methods"][name] = method


def _name(factor: str, entry: Mapping, value: Any) -> str:
    return f"{entry['method']}.{factor}.{re.sub('[^A-Za-z0-9.-]+', '-', _text(value))}"


def _text(value: Any) -> str:
    """Return a value as tables print it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "all"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_text(one)}" for key, one in sorted(value.items()))
    if isinstance(value, list):
        return "-".join(map(str, value))
    return str(value)
