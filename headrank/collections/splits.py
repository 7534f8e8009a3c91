"""The splits of a user's folder before it is imported: questions, judged queries and digests.

Standard library alone: this runs where only Snakemake is installed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from headrank.collections.layout import CANDIDATES, EXCLUDED, QRELS, QUERIES
from headrank.io.files import json_sha256
from headrank.io.texts import normalised


@dataclass(frozen=True)
class Splits:
    """What a folder of the user's holds of each split.

    Attributes:
        texts: ``{split: {query_id: text}}``.
        digests: ``{split: digest}`` of its queries, judgments, candidates and exclusions.
        judged: ``{split: queries with a relevant document}``.
    """

    texts: Mapping[str, Mapping[str, str]]
    digests: Mapping[str, str]
    judged: Mapping[str, int]


def splits(folder: str | os.PathLike) -> Splits | None:
    """Return what a folder holds of each split; None where its own check will refuse it.

    None of packed files and BEIR's form, too: such a folder is one whole.

    The check of a collection tells what is wrong and where; here it is only asked which lines
    belong to which split.
    """
    root = Path(folder)
    if not all((root / name).is_file() for name in (QUERIES, QRELS)):
        return None
    try:
        records = [json.loads(line) for line in _lines(root / QUERIES)]
        texts: dict[str, dict[str, str]] = {}
        for record in records:
            found = texts.setdefault(str(record.get("split", "test")), {})
            name = record["query_id"] if "query_id" in record else record["_id"]
            found[str(name)] = str(record["text"])
        lines: dict[str, dict[str, list[str]]] = {}
        for name in (QRELS, CANDIDATES, EXCLUDED):
            lines[name] = {}
            for line in _lines(root / name) if (root / name).is_file() else ():
                lines[name].setdefault(line.split()[0], []).append(line)
        relevant = {
            query
            for query, judgments in lines[QRELS].items()
            if any(int(line.split()[3]) > 0 for line in judgments)
        }
    except (OSError, ValueError, KeyError, IndexError, AttributeError, TypeError):
        return None

    def digest(asked: Mapping[str, str]) -> str:
        own = [{query: one[query] for query in asked if query in one} for one in lines.values()]
        # With candidates the first stage is another, though no line of them is of this split.
        return json_sha256([asked, own, (root / CANDIDATES).is_file()])

    return Splits(
        texts,
        {split: digest(asked) for split, asked in texts.items()},
        {split: len(asked.keys() & relevant) for split, asked in texts.items()},
    )


def _lines(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8-sig")
    return [line for line in text.split("\n") if line.strip()]


def shares_a_query(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Return whether two splits ask the same question, as roles compare them."""
    return not set(map(normalised, one.values())).isdisjoint(map(normalised, other.values()))
