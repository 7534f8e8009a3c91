"""InsuranceQA: questions of real people about insurance, and the answers of professionals.

Source: Feng, Xiang, Glass, Wang and Zhou, "Applying deep learning to answer selection: a
study and an open task", ASRU 2015; here the English side of the package insuranceqa_data 1.0
(later versions hold no data), which keeps natural case. The package says GPL-3.0, the corpus
was released for research.
"""

from __future__ import annotations

import gzip
import os
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from headrank.collections.builders.records import parse_json, take
from headrank.collections.layout import Document, Query
from headrank.collections.parts import Parts
from headrank.data.trec import Qrels
from headrank.errors import HeadRankError
from headrank.sources.archive import open_member

FOLDER = "insuranceqa_data-1.0/insuranceqa_data"
SPLITS = ("train", "valid", "test")
EXPECTED = {
    "documents": 27413,
    "queries": {"train": 12889, "valid": 2000, "test": 2000},
    "grades": {1: 27987},
}


def build(archive: str | os.PathLike, expected: Mapping[str, object] = EXPECTED) -> Parts:
    """Return the English answers as documents and the questions of all three splits.

    Judgments are binary and sparse: grade 1 for the answers given to that very question.
    Question ids carry their split, since every split counts from 0. White space is
    normalised (questions come with double spaces); nothing is left out.

    Raises:
        HeadRankError: the archive has no such members, an answer is unknown, or the counts
            are not those of version 1.0.
    """
    archive = Path(archive)
    answers = _read(archive, "answers")
    documents = [
        Document(name, "", _english(record, f"{archive}: answer {name}"))
        for name, record in answers.items()
    ]
    queries: list[Query] = []
    grades: dict[str, dict[str, int]] = {}
    for split in SPLITS:
        for number, record in _read(archive, split).items():
            query = f"{split}-{number}"
            where = f"{archive}: {split} question {number}"
            queries.append(Query(query, _english(record, where), split))
            grades[query] = dict.fromkeys(take(record, "answers", where), 1)
            unknown = [answer for answer in grades[query] if answer not in answers]
            if unknown:
                raise HeadRankError(f"{where} has the unknown answers {', '.join(unknown)}")
    description = {
        "name": "InsuranceQA (English)",
        "package": "insuranceqa_data 1.0",
        "licence": "GPL-3.0 (package); corpus released for research",
        "judgments": "binary, sparse: the answers given to that very question",
        # The same question may stand in two splits: roles must be compared by text.
        "questions_also_in_train": _repeated(queries),
    }
    parts = Parts(tuple(documents), tuple(queries), Qrels(grades), description)
    return parts.check(expected, archive)


def _read(archive: Path, name: str) -> dict:
    """Return one of the package's compressed JSON files."""
    member = f"{FOLDER}/{name}.json.gz"
    data = open_member(archive, member)
    try:
        plain = gzip.decompress(data)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise HeadRankError(f"{archive}: {member} is damaged ({error}); fetch it again") from None
    return parse_json(plain, member, archive, dict)


def _english(record: Mapping, where: str) -> str:
    """Return the English text with single spaces."""
    return " ".join(str(take(record, "en", where)).split())


def _repeated(queries: Iterable[Query]) -> dict[str, int]:
    """Return how many questions of each other split stand in train, too, whatever the case."""
    queries = list(queries)
    train = {query.text.casefold() for query in queries if query.split == "train"}
    return dict(
        Counter(q.split for q in queries if q.split != "train" and q.text.casefold() in train)
    )
