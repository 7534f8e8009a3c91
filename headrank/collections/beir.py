"""BEIR's own form of a collection: judgments in ``qrels/<split>.tsv``, read where they are.

Its other files are ours but for the ids' name, ``_id``. Source: Thakur et al., "BEIR: A
Heterogeneous Benchmark for Zero-shot Evaluation of Information Retrieval Models", NeurIPS 2021.
"""

from __future__ import annotations

import os
from pathlib import Path

from headrank.collections.layout import CORPUS, QRELS, QUERIES, SPLIT, file_of
from headrank.data.trec import Qrels
from headrank.errors import HeadRankError
from headrank.io.texts import local_path

FOLDER = "qrels"


def beir_qrels(folder: str | os.PathLike) -> dict[str, Path]:
    """Return ``{split: file}`` of a collection in BEIR's form; nothing where our file stands.

    Raises:
        HeadRankError: a split that cannot be part of a file name.
    """
    inner = Path(local_path(folder)) / FOLDER
    if file_of(folder, QRELS).exists() or not inner.is_dir():
        return {}
    found: dict[str, Path] = {}
    for path in sorted(inner.iterdir()):
        name = path.name.removesuffix(".gz")
        if path.is_file() and name.endswith(".tsv") and not name.startswith("."):
            split = name.removesuffix(".tsv")
            if not SPLIT.fullmatch(split):
                raise HeadRankError(
                    f"{path}: split {split!r}; use letters, digits, '.', '_' and '-', because "
                    "splits name files"
                )
            if split in found:
                raise HeadRankError(f"{path}: {found[split].name} stands beside it; keep one")
            found[split] = path
    return found


def load_beir_qrels(files: dict[str, Path]) -> tuple[Qrels, dict[str, str]]:
    """Return the judgments of all splits, and ``{query_id: split}``.

    Raises:
        HeadRankError: as `Qrels.load`, or a query that two splits judge.
    """
    grades: dict = {}
    splits: dict[str, str] = {}
    for split, path in files.items():
        part = Qrels.load(path).grades
        if twice := splits.keys() & part.keys():
            query = min(twice)
            raise HeadRankError(
                f"{path}: query {query} is also judged in {files[splits[query]].name}; a query "
                "belongs to one split"
            )
        grades.update(part)
        splits.update(dict.fromkeys(part, split))
    return Qrels(grades), splits


def source_files(folder: str | os.PathLike) -> list[str]:
    """Return the files that an import of a folder must read, whether they exist or not."""
    judged = list(beir_qrels(folder).values()) or [file_of(folder, QRELS)]
    return [str(path) for path in (file_of(folder, CORPUS), file_of(folder, QUERIES), *judged)]
