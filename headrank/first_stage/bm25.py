"""The first stage: BM25 with Lucene's analyser, length encoding, arithmetic and tie order."""

from __future__ import annotations

import math
import os
from array import array
from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import bm25s
import numpy as np

from headrank.data.trec import Run
from headrank.errors import HeadRankError
from headrank.first_stage.lucene_analyzer import ENGLISH
from headrank.first_stage.lucene_analyzer import analyzer as terms_by
from headrank.first_stage.lucene_scores import LuceneScores, Postings, Tokens, best
from headrank.io.files import read_json, sha256, write_json
from headrank.io.folders import INDEX, atomic_dir
from headrank.io.progress import follow

FORMAT = "headrank-bm25/1"
"""Version of the saved index; a change of the analyser or the arithmetic is a new one."""


@dataclass(frozen=True)
class Bm25Index:
    """A BM25 index of one collection.

    ``documents`` holds the ids in ascending order, which makes Lucene's tie-break (docid
    ascending) the order of positions. ``scorer`` is a bm25s index whose postings are
    finished scores, one column a term: ``data`` (float32) and ``indices`` (positions).
    ``analyzer`` names what makes terms of texts and queries, see
    `headrank.first_stage.lucene_analyzer`.
    """

    documents: tuple[str, ...]
    scorer: bm25s.BM25
    mean_length: float
    corpus: str | None = None
    analyzer: str = ENGLISH

    @classmethod
    def build(
        cls,
        documents: Iterable[tuple[str, str]],
        k1: float = 0.9,
        b: float = 0.4,
        corpus: str | None = None,
        progress: bool = True,
        analyzer: str = ENGLISH,
    ) -> Bm25Index:
        """Return the index of ``(doc_id, contents)`` pairs; their order does not matter.

        The score of a term that occurs tf times in a document is
        ``idf * tf / (tf + k1 * (1 - b + b * length / mean length))`` with
        ``idf = ln(1 + (N - df + 0.5) / (df + 0.5))``. As in Lucene, the length is rounded
        to one that fits a byte (``postings.stored_length``), the mean is over true lengths,
        documents without a term count neither in N nor in the mean, arithmetic is float32.

        Args:
            k1, b: term saturation and length normalisation; Anserini's defaults.
            corpus: a digest of the collection, kept with the index.
            progress: show a progress bar on stderr.
            analyzer: ``lucene-english`` (Anserini's), or ``unicode`` for other languages.

        Raises:
            HeadRankError: no document has a term, a doc_id twice, k1 < 0 or b outside [0, 1],
                or no such analyser.

        Source: Kamphuis et al., "Which BM25 Do You Mean?", ECIR 2020 (Lucene's variant).
        """
        if not (0 <= k1 < math.inf and 0 <= b <= 1):
            raise HeadRankError(f"BM25 needs k1 >= 0 and 0 <= b <= 1, got k1={k1}, b={b}")
        terms_of = terms_by(analyzer)
        names: list[str] = []
        vocabulary: dict[str, int] = {}
        terms, lengths = array("i"), array("i")
        bar = follow(
            documents, desc="index", unit=" documents", disable=not progress, mininterval=1
        )
        for name, contents in bar:
            ids = [vocabulary.setdefault(term, len(vocabulary)) for term in terms_of(contents)]
            names.append(name)
            terms.extend(ids)
            lengths.append(len(ids))
        order = sorted(range(len(names)), key=names.__getitem__)
        for first, second in pairwise(order):
            if names[first] == names[second]:
                raise HeadRankError(
                    f"doc_id {names[first]!r} appears twice (documents {first + 1} and "
                    f"{second + 1}); ids must be unique"
                )
        if not terms:
            raise HeadRankError(
                f"none of the {len(names)} documents holds a word to index; check the text fields"
            )
        positions = np.empty(len(names), np.int32)
        positions[order] = np.arange(len(names), dtype=np.int32)
        tokens = Tokens(
            terms=np.frombuffer(terms, np.int32),
            documents=np.repeat(positions, np.frombuffer(lengths, np.int32)),
            lengths=np.frombuffer(lengths, np.int32)[order],
        )
        scorer = LuceneScores(k1=k1, b=b, method="lucene")
        scorer.index(
            bm25s.tokenization.Tokenized(ids=tokens, vocab=vocabulary),
            create_empty_token=False,
            show_progress=False,
        )
        return cls(tuple(names[i] for i in order), scorer, tokens.mean_length, corpus, analyzer)

    def search(
        self,
        queries: Mapping[str, str],
        depth: int,
        exclude: Mapping[str, Collection[str]] | None = None,
        progress: bool = True,
    ) -> Run:
        """Return the ``depth`` best documents of each query, exactly, ties by docid ascending.

        A term that a query repeats counts as often. Only documents that share a term with
        the query are ranked, so a ranking may be shorter than ``depth``; a query without a
        known term has an empty ranking (which a TREC file cannot hold: there it is absent).

        Args:
            queries: text by query id.
            exclude: documents to leave out by query id, such as the query's own source;
                ids that the index does not hold are ignored.

        Raises:
            HeadRankError: depth is below 1.
        """
        if depth < 1:
            raise HeadRankError(f"depth is {depth}; retrieve at least 1 document a query")
        exclude = exclude or {}
        terms_of = terms_by(self.analyzer)
        scores = self.scorer.scores
        postings = Postings(scores["data"], scores["indices"], scores["indptr"])
        totals = np.zeros(len(self.documents))
        rankings = {}
        bar = follow(
            queries.items(), desc="search", unit=" queries", disable=not progress, mininterval=1
        )
        for query, text in bar:
            counts: dict[int, int] = {}
            for term in terms_of(text):
                number = self.scorer.vocab_dict.get(term)
                if number is not None:
                    counts[number] = counts.get(number, 0) + 1
            positions, values = best(
                postings,
                np.array(list(counts), np.int64),
                np.array(list(counts.values()), np.float64),
                self._positions(exclude.get(query, ())),
                min(depth, len(self.documents)),
                totals,
            )
            rankings[query] = [
                (self.documents[position], value)
                for position, value in zip(positions.tolist(), values.tolist(), strict=True)
            ]
        return Run(rankings, name="bm25")

    def without_terms(self, queries: Mapping[str, str]) -> list[str]:
        """Return the queries of whose text the analyser leaves no term, such as stopwords alone."""
        terms_of = terms_by(self.analyzer)
        return [query for query, text in queries.items() if not terms_of(text)]

    def save(self, folder: str | os.PathLike) -> None:
        """Write the index as a folder, whole or not at all.

        The arrays, the vocabulary and the parameters are bm25s' files; ``documents.json``
        holds the ids and ``index.json`` the counts and the SHA-256 of every other file.

        Raises:
            HeadRankError: the folder holds anything but an index that was written here.
        """
        with atomic_dir(folder, INDEX) as temporary:
            self.scorer.save(temporary, show_progress=False)
            write_json(temporary / "documents.json", self.documents)
            files = sorted(path.name for path in temporary.iterdir())
            write_json(
                temporary / "index.json",
                {
                    "format": FORMAT,
                    "k1": self.scorer.k1,
                    "b": self.scorer.b,
                    "analyzer": self.analyzer,
                    "documents": len(self.documents),
                    "terms": len(self.scorer.vocab_dict),
                    "postings": len(self.scorer.scores["data"]),
                    "mean_length": self.mean_length,
                    "corpus": self.corpus,
                    "bm25s": bm25s.__version__,
                    "sha256": {name: sha256(temporary / name) for name in files},
                },
            )

    @classmethod
    def load(cls, folder: str | os.PathLike) -> Bm25Index:
        """Return a saved index.

        Raises:
            HeadRankError: a file is missing or changed since it was written, or another
                version wrote the index.
        """
        folder = Path(folder)
        remedy = "delete the folder and build the index again"
        if not (folder / "index.json").is_file():
            raise HeadRankError(f"{folder}: no BM25 index here (index.json is missing); build it")
        meta = read_json(folder / "index.json")
        found = meta.get("format") if isinstance(meta, dict) else None
        if found != FORMAT:
            raise HeadRankError(
                f"{folder / 'index.json'}: format is {found!r}, expected {FORMAT!r}; {remedy}"
            )
        for name, expected in meta["sha256"].items():
            path = folder / name
            if not path.is_file():
                raise HeadRankError(f"{path}: missing from the BM25 index; {remedy}")
            if sha256(path) != expected:
                raise HeadRankError(f"{path}: not the file that was written; {remedy}")
        scorer = bm25s.BM25.load(folder, show_progress=False)
        documents = tuple(read_json(folder / "documents.json"))
        # An index without the name is older than the choice.
        name = meta.get("analyzer", ENGLISH)
        terms_by(name)
        return cls(documents, scorer, meta["mean_length"], meta["corpus"], name)

    def _positions(self, names: Collection[str]) -> np.ndarray:
        """Return the positions of those ids that the index holds."""
        places = [(bisect_left(self.documents, name), name) for name in names]
        return np.array(
            [place for place, name in places if self.documents[place : place + 1] == (name,)],
            np.int64,
        )
