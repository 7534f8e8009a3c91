"""The splits of a user's folder before it is imported: questions, judged queries and digests.

Standard library alone: this runs where only Snakemake is installed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from headrank.collections.beir import beir_qrels, load_beir_qrels
from headrank.collections.layout import CANDIDATES, EXCLUDED, QRELS, QUERIES, file_of
from headrank.errors import HeadRankError
from headrank.io.files import json_sha256
from headrank.io.texts import normalised, text_lines


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

    The check of a collection tells what is wrong and where; here it is only asked which lines
    belong to which split. In BEIR's form the file that judges a query names its split; one that
    no file judges is of the split that its line names.
    """
    root = Path(folder)
    try:
        judged, named = _judgments(root)
        texts: dict[str, dict[str, str]] = {}
        for line in _lines(file_of(root, QUERIES)):
            record = json.loads(line)
            query = str(record["query_id"] if "query_id" in record else record["_id"])
            split = named.get(query, str(record.get("split", "test")))
            texts.setdefault(split, {})[query] = str(record["text"])
        lines: dict[str, dict[str, list[str]]] = {QRELS: judged}
        for name in (CANDIDATES, EXCLUDED):
            path = file_of(root, name)
            lines[name] = _by_query(path) if path.is_file() else {}
        relevant = {
            query
            for query, judgments in judged.items()
            if any(int(line.split()[3]) > 0 for line in judgments)
        }
    except (HeadRankError, OSError, ValueError, LookupError, AttributeError, TypeError):
        return None

    def digest(asked: Mapping[str, str]) -> str:
        own = [{query: one[query] for query in asked if query in one} for one in lines.values()]
        # With candidates the first stage is another, though no line of them is of this split.
        return json_sha256([asked, own, file_of(root, CANDIDATES).is_file()])

    return Splits(
        texts,
        {split: digest(asked) for split, asked in texts.items()},
        {split: len(asked.keys() & relevant) for split, asked in texts.items()},
    )


def _judgments(root: Path) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Return the judgments of each query as TREC lines, and the splits that BEIR's files name."""
    files = beir_qrels(root)
    if not files:
        return _by_query(file_of(root, QRELS)), {}
    qrels, named = load_beir_qrels(files)
    return {
        query: [f"{query} 0 {document} {grade}" for document, grade in grades.items()]
        for query, grades in qrels.grades.items()
    }, named


def _by_query(path: Path) -> dict[str, list[str]]:
    """Return the lines of a file by the query in their first column."""
    found: dict[str, list[str]] = {}
    for line in _lines(path):
        found.setdefault(line.split()[0], []).append(line)
    return found


def _lines(path: Path) -> list[str]:
    return [line.rstrip("\r\n") for _, line in text_lines(path) if line.strip()]


def shares_a_query(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Return whether two splits ask the same question, as roles compare them."""
    return not set(map(normalised, one.values())).isdisjoint(map(normalised, other.values()))
