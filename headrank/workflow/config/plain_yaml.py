"""Config files read strictly: what YAML would take in its own way, or drop, is refused.

YAML 1.1 reads ``1:30`` as 90, ``010`` as 8, ``1_0`` as 10, ``no`` as false and ``2024-01-01`` as
a date, and of a key that is given twice it keeps the last. Snakemake loads the config itself, so
its files are looked into as text.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import yaml

from headrank.errors import HeadRankError
from headrank.io.texts import read_text

_WHOLE = re.compile(r"-?(0|[1-9][0-9]*)")
_NUMBER = re.compile(r"-?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][-+]?[0-9]+)?")
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_READ_AS = {"timestamp": "a date", "null": "null", "bool": "true or false", "float": "a number"}
_READ_AS_TEXT = ("int", "float", "bool", "null")


def load(path: str | os.PathLike) -> Any:
    """Return what a config file holds.

    Raises:
        HeadRankError: it cannot be read, is not YAML or JSON, or is not plain.
    """
    text = read_text(path)
    faults = list(_faults(text, path))
    if faults:
        raise HeadRankError("\n".join(faults))
    return _json(text, [], path) if _is_json(text) else yaml.safe_load(text)


def check_config(files: Iterable[str | os.PathLike], arguments: Sequence[str] = ()) -> None:
    """Refuse config files and ``--config KEY=VALUE`` that are not plain.

    Args:
        files: config files, YAML or JSON.
        arguments: Snakemake's command line.

    Raises:
        HeadRankError: names every fault with its line.
    """
    found = [fault for path in files for fault in _faults(read_text(path), path)]
    found += _argument_faults(arguments)
    if found:
        raise HeadRankError("\n".join(found))


def _faults(text: str, path: str | os.PathLike) -> Iterator[str]:
    """Yield ``file:line: fault`` of a text in YAML or JSON."""
    if _is_json(text):
        found: list[str] = []
        _json(text, found, path)
        yield from found
        return
    try:
        root = yaml.compose(text, Loader=_LOADER)
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        line = "" if place is None else f":{place.line + 1}"
        problem = getattr(error, "problem", None) or str(error)
        raise HeadRankError(f"{path}{line}: not YAML ({problem})") from None
    if root is not None:
        yield from _node(root, "", path, set())


def _node(node: yaml.Node, key: str, path: str | os.PathLike, seen: set[int]) -> Iterator[str]:
    """Yield the faults of a node and of those below it; ``key`` leads to it."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.ScalarNode):
        if fault := _scalar(node, is_key=False):
            yield f"{path}:{_line(node)}: {key or 'the value'} {fault}"
    elif isinstance(node, yaml.SequenceNode):
        for number, part in enumerate(node.value):
            yield from _node(part, f"{key}.{number}".lstrip("."), path, seen)
    else:
        lines: dict[tuple, int] = {}
        for name, part in node.value:
            below = f"{key}.{getattr(name, 'value', '')}".lstrip(".")
            if isinstance(name, yaml.ScalarNode):
                if fault := _scalar(name, is_key=True):
                    yield f"{path}:{_line(name)}: the key {below} {fault}"
                if (first := lines.get((name.tag, name.value))) is not None:
                    yield f"{path}:{_line(name)}: {below} is given twice (first in line {first})"
                lines.setdefault((name.tag, name.value), _line(name))
            yield from _node(part, below, path, seen)


def _line(node: yaml.Node) -> int:
    return node.start_mark.line + 1


def _scalar(node: yaml.ScalarNode, is_key: bool) -> str | None:
    """Return what is wrong with a single value; None if it says what it means."""
    kind, text = node.tag.removeprefix(_TAG), node.value
    quoted = node.style in ("'", '"', "|", ">")
    if quoted or kind in ("str", "merge"):
        return None
    if kind == "int":
        return None if _WHOLE.fullmatch(text) else _number_fault(text, yaml.safe_load(text))
    if is_key and kind in _READ_AS:
        return f"is read as {_READ_AS[kind]} by YAML; put it in quotes: '{text}'"
    if kind == "float" and not _NUMBER.fullmatch(text):
        return _number_fault(text, yaml.safe_load(text))
    if kind == "bool" and text.lower() not in ("true", "false"):
        read = "true" if yaml.safe_load(text) else "false"
        return f"is written {text}, which YAML reads as {read}; write {read}, or '{text}' in quotes"
    if kind == "timestamp":
        return f"is written {text}, which YAML reads as a date; put it in quotes: '{text}'"
    return None


def _number_fault(text: str, read: Any) -> str:
    if read != read or read in (float("inf"), float("-inf")):
        return f"is written {text}; allowed: a finite number, in plain digits"
    return (
        f"is written {text}, which YAML reads as {read}; write the number in plain digits, or "
        f"'{text}' in quotes if it is a text"
    )


def _is_json(text: str) -> bool:
    """Return whether a text is JSON, as which Snakemake reads it then."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _json(text: str, faults: list[str], path: str | os.PathLike) -> Any:
    """Return what a text in JSON holds; keys that are given twice are added to ``faults``."""

    def members(pairs: list[tuple[str, Any]]) -> dict:
        names = [name for name, _ in pairs]
        twice = dict.fromkeys(name for name in names if names.count(name) > 1)
        faults.extend(f"{path}: {name} is given twice" for name in twice)
        return dict(pairs)

    def constant(name: str) -> float:
        faults.append(f"{path}: {name} is given; allowed: a finite number")
        return float(name)

    return json.loads(text, object_pairs_hook=members, parse_constant=constant)


def _argument_faults(arguments: Sequence[str]) -> list[str]:
    """Return the faults of ``--config KEY=VALUE``, whose values Python reads as numbers."""
    found: list[str] = []
    given: set[str] = set()
    for argument in _config_arguments(arguments):
        key, _, text = argument.partition("=")
        if key in given:
            found.append(f"--config {argument}: {key} is given twice")
        given.add(key)
        try:
            read = float(text)
        except ValueError:
            if text not in ("", "True", "False"):
                found += (f"--config {argument}: {fault}" for fault in _texts(text))
            continue
        if not _NUMBER.fullmatch(text) or (text.lstrip("-")[:1] == "0" and read >= 1):
            found.append(
                f"--config {argument}: {text!r} is read as {read:g}; write the number in plain "
                "digits"
            )
    return found


def _texts(text: str) -> Iterator[str]:
    """Yield what Snakemake takes for a text in ``--config KEY=VALUE`` and YAML for something else.

    Where they stand alone Snakemake reads numbers, True and False as such. All else, and all in
    braces, it reads by YAML's base loader, which makes texts of them.
    """
    try:
        nodes = [yaml.compose(text, Loader=_LOADER)]
    except yaml.YAMLError:
        return
    for node in nodes:
        if isinstance(node, yaml.CollectionNode):
            parts = [one[1] if isinstance(one, tuple) else one for one in node.value]
            # An alias may name a node twice, or the one that it stands in.
            nodes += [part for part in parts if part not in nodes]
        elif node is not None and node.tag.removeprefix(_TAG) in _READ_AS_TEXT:
            yield (
                f"Snakemake reads {node.value or 'an empty value'} here as a text; write it in a "
                "config file, named last after --configfile, or in quotes if it is a text"
            )


def _config_arguments(arguments: Sequence[str]) -> Iterator[str]:
    """Yield the values of ``--config`` and ``-C`` of a command line."""
    within = False
    for argument in arguments:
        if argument.startswith("-"):
            within = argument in ("--config", "-C")
            if argument.startswith("--config="):
                yield argument.removeprefix("--config=")
        elif within and "=" in argument:
            yield argument
