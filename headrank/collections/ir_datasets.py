"""A dataset of ir_datasets, exported once to our layout so that later jobs need neither."""

from __future__ import annotations

import contextlib
import difflib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from headrank.collections.absent import Kept, check_choice
from headrank.collections.collection import save_collection
from headrank.collections.layout import Document, Query
from headrank.collections.parts import Parts
from headrank.collections.validation import check_counts
from headrank.data.trec import Qrels, Run
from headrank.errors import HeadRankError
from headrank.io.extras import need


@dataclass(frozen=True)
class Export:
    """What of a dataset is exported.

    Attributes:
        documents: ``all``, or for corpora too large to copy (MS MARCO v2) ``judged+scored``:
            only what the qrels and the datasets' own scored documents name; or
            ``candidates``: only what stands in ``candidates.run``. All judgments stay in
            each case, since the ideal ranking counts them; those of documents that are left
            out count as never retrieved.
        candidates: take the datasets' scored documents as ``candidates.run``.
        depth: how many of them a query, from the top; None takes all.
        unjudged: ``error``, or ``drop`` queries without judgments.
        unknown: ``error``, or ``keep`` judgments of documents that the corpus does not
            have; they count as never retrieved.
        exclude_query_id: keep a document with the query's own id from becoming its
            candidate, as BEIR's evaluation and Anserini's ``-removeQuery`` do.

    Raises:
        HeadRankError: a value that is not allowed, or one that needs ``candidates``.
    """

    documents: str = "all"
    candidates: bool = False
    depth: int | None = None
    unjudged: str = "error"
    unknown: str = "error"
    exclude_query_id: bool = False

    def __post_init__(self) -> None:
        check_choice("documents", self.documents, ("all", "judged+scored", "candidates"))
        if not self.candidates and (self.depth is not None or self.documents == "candidates"):
            raise HeadRankError("depth and documents: candidates need `candidates: true`")
        check_choice("unjudged", self.unjudged, ("error", "drop"))
        check_choice("unknown", self.unknown, ("error", "keep"))


def export_ir_datasets(
    source: str | Mapping[str, Mapping[str, Any]],
    target: str | os.PathLike,
    expect: Mapping[str, object] | None = None,
    *,
    split: str = "test",
    export: Export,
) -> dict:
    """Write a dataset of ir_datasets, or several over one corpus; return the counts.

    ir_datasets has no locks, and two processes that open one archive for the first time
    spoil it, so the whole export holds a file lock for that archive.

    Documents without title and text are left out and counted in the description; their
    judgments stay and count as never retrieved, as in Lucene's indexes. Negative grades
    stay, too: they are not relevant, and nDCG gives them gain 0.

    Args:
        source: an id such as ``beir/nfcorpus/test``, or ``{split: {id, expect}}`` of
            datasets that share one corpus, which is then exported once.
        target: may be absent or empty, or a collection that was written there.
        expect: counts that the source must have: ``documents`` (with empty ones; under
            ``judged+scored`` those exported), and for a single id ``queries``,
            ``judgments``, ``grades``; splits have theirs beside their ids.
        split: the split that the queries of a single id get.

    Raises:
        HeadRankError: an unknown id, no network and nothing in the local store, other
            counts than expected, splits of several corpora or with a query id in common,
            or candidates without scores.
    """
    irds = _ir_datasets()
    expected = dict(expect or {})
    expected_documents = expected.pop("documents", None)
    if isinstance(source, str):
        source = {split: {"id": source, "expect": expected}}
    elif expected:
        raise HeadRankError(
            f"expect.{next(iter(expected))} stands beside splits; allowed there: documents (give "
            "each split its own `expect`)"
        )
    ids = [entry["id"] for entry in source.values()]
    name = ids[0] if len(ids) == 1 else f"{ids[0]} and {len(ids) - 1} more"
    datasets = {dataset_id: _load(irds, dataset_id) for dataset_id in ids}
    _check_one_corpus(irds, ids)
    with _archive_lock(irds, ids[0]), _translated(irds, name):
        parts = [
            load_part(irds, split, entry, datasets[entry["id"]], export)
            for split, entry in source.items()
        ]
        asked = judged_queries(parts)
        grades = {q: judged for part in parts for q, judged in part.qrels.grades.items()}
        rankings = {
            q: pairs for part in parts if part.run for q, pairs in part.run.rankings.items()
        }
        names = {name for judged in grades.values() for name in judged}
        ranked = {name for pairs in rankings.values() for name, _ in pairs}
        wanted = ranked if export.documents == "candidates" else names
        kept = Kept(_documents(list(datasets.values()), wanted, export.documents), names)
        description: dict[str, object] = {
            "kind": "ir_datasets",
            "id": ids[0] if len(ids) == 1 else {part.split: part.dataset_id for part in parts},
            "version": irds.__version__,
            "documents": export.documents,
            "dropped_queries": sum(len(part.queries) for part in parts) - len(asked),
        }
        absent: set[str] = set()
        exclusions: dict[str, set[str]] = {}

        def checked() -> Iterator[Document]:
            for document in kept:
                if export.exclude_query_id and document.doc_id in asked:
                    exclusions[document.doc_id] = {document.doc_id}
                yield document
            if expected_documents is not None:
                check_counts({"documents": kept.total}, {"documents": expected_documents}, name)
            # Whether the corpus has a document that was not asked for is not known.
            lacking = sorted(kept.unseen & wanted)
            if lacking and export.unknown == "error":
                raise HeadRankError(
                    f"{name}: {len(lacking)} judged documents are not in its corpus "
                    f"({', '.join(lacking[:3])}, ...); set `unknown: keep` to keep "
                    "their judgments, which then count as never retrieved"
                )
            description["dropped_documents"] = len(kept.empty)
            if export.documents == "candidates":
                description["judged_not_exported"] = len(names - wanted)
            absent.update(kept.absent)

        parts = Parts(
            checked(),
            asked.values(),
            Qrels(grades),
            description,
            exclusions,
            Run(rankings, "ir_datasets") if export.candidates else None,
            absent,
        )
        return save_collection(target, parts)


def _check_one_corpus(irds: ModuleType, ids: list[str]) -> None:
    """Refuse datasets of different corpora."""
    corpora = {irds.docs_parent_id(dataset_id): dataset_id for dataset_id in ids}
    if len(corpora) > 1:
        raise HeadRankError(
            f"{', '.join(corpora.values())} have different corpora ({', '.join(corpora)}); splits "
            "share one: declare a collection for each corpus"
        )


def _ir_datasets() -> ModuleType:
    """Return ir_datasets, an optional dependency."""
    need("sources", "a collection of kind ir_datasets", "ir_datasets", "filelock")
    import ir_datasets

    return ir_datasets


def _load(irds: ModuleType, dataset_id: str) -> Any:
    """Return the dataset's object; nothing is downloaded yet."""
    try:
        dataset = irds.load(dataset_id)
    except KeyError:
        near = difflib.get_close_matches(dataset_id, list(irds.registry), n=5, cutoff=0.5)
        raise HeadRankError(
            f"ir_datasets {irds.__version__} has no dataset {dataset_id!r}; nearest: "
            f"{', '.join(near) or 'none'}; see https://ir-datasets.com"
        ) from None
    for part in ("docs", "queries", "qrels"):
        if not getattr(dataset, f"has_{part}")():
            raise HeadRankError(
                f"{dataset_id}: the dataset has no {part}; choose one of its subsets with "
                "documents, queries and qrels (see https://ir-datasets.com)"
            )
    return dataset


@contextlib.contextmanager
def _archive_lock(irds: ModuleType, dataset_id: str) -> Iterator[None]:
    """Hold a lock for all datasets that share the corpus' archive.

    The first two parts of the corpus' id name the archive: CQADupStack's twelve corpora
    (beir/cqadupstack/...) come in one zip file.
    """
    from filelock import FileLock

    archive = "-".join(irds.docs_parent_id(dataset_id).split("/")[:2])
    with FileLock(Path(irds.util.home_path()) / f"headrank-{archive}.lock"):
        yield


@contextlib.contextmanager
def _translated(irds: ModuleType, dataset_id: str) -> Iterator[None]:
    """Turn what ir_datasets raises without data or network into an error with a remedy."""
    try:
        yield
    except (ConnectionError, RuntimeError, irds.lazy_libs.requests().RequestException) as error:
        raise HeadRankError(
            f"{dataset_id}: ir_datasets cannot get it ({type(error).__name__}: "
            f"{str(error)[:300]}); it is not whole in {irds.util.home_path()}: run this where "
            "there is network, or copy that folder from such a machine and set IR_DATASETS_HOME"
        ) from error


def _documents(datasets: list[Any], named: Iterable[str], documents: str) -> Iterator[Document]:
    """Yield the shared corpus, or only the named (and all scored) documents, in a fixed order."""
    if documents == "all":
        source = datasets[0].docs_iter()
    else:
        wanted = set(named)
        for dataset in datasets if documents == "judged+scored" else ():
            if dataset.has_scoreddocs():
                wanted.update(line.doc_id for line in dataset.scoreddocs_iter())
        source = datasets[0].docs_store().get_many_iter(sorted(wanted))
    for document in source:
        title, text = _title_and_text(document)
        yield Document(document.doc_id, title, text)


def _title_and_text(document: Any) -> tuple[str, str]:
    """Split the text that ir_datasets considers the document into its title and the rest."""
    whole = document.default_text().strip()
    title = (getattr(document, "title", None) or "").strip()
    if title and whole.startswith(title):
        return title, whole[len(title) :].strip()
    return "", whole


@dataclass(frozen=True)
class Part:
    """One dataset's queries, judgments and candidates; its queries get the split's name."""

    split: str
    dataset_id: str
    dataset: Any
    queries: list[Query]
    qrels: Qrels
    run: Run | None


def load_part(
    irds: ModuleType,
    split: str,
    entry: Mapping[str, Any],
    dataset: Any,
    export: Export,
) -> Part:
    """Return one dataset's part of a collection, its counts checked."""
    dataset_id, expected = entry["id"], dict(entry.get("expect") or {})
    qrels = _qrels(dataset, dataset_id)
    queries = [Query(q.query_id, q.default_text(), split) for q in dataset.queries_iter()]
    run = _candidates(dataset, dataset_id) if export.candidates else None
    if "grades" in expected:
        # YAML reads the grades as numbers, JSON can only have them as text.
        expected["grades"] = {str(grade): n for grade, n in expected["grades"].items()}
    check_counts(_counts(queries, qrels), expected, dataset_id)
    _check_judged(irds, dataset_id, queries, qrels, export.unjudged)
    if run is not None:
        kept = {q: run.rankings[q][: export.depth] for q in qrels.grades if q in run.rankings}
        run = Run(kept, run.name)
    return Part(split, dataset_id, dataset, queries, qrels, run)


def judged_queries(parts: list[Part]) -> dict[str, Query]:
    """Return ``{query_id: query}`` of the judged queries of all parts."""
    asked: dict[str, Query] = {}
    for part in parts:
        for query in part.queries:
            if not part.qrels.grades.get(query.query_id):
                continue
            known = asked.setdefault(query.query_id, query)
            if known is not query:
                raise HeadRankError(
                    f"query id {query.query_id} stands in the splits {known.split!r} and "
                    f"{part.split!r}; declare a collection for each"
                )
    return asked


def _qrels(dataset: Any, dataset_id: str) -> Qrels:
    """Return the judgments; two different grades for one pair are an error."""
    grades: dict[str, dict[str, int]] = {}
    for line in dataset.qrels_iter():
        known = grades.setdefault(line.query_id, {}).setdefault(line.doc_id, int(line.relevance))
        if known != line.relevance:
            raise HeadRankError(
                f"{dataset_id}: query {line.query_id}, document {line.doc_id} has grades {known} "
                f"and {line.relevance}; export another version of the dataset"
            )
    return Qrels(grades)


def _candidates(dataset: Any, dataset_id: str) -> Run:
    """Return the dataset's scored documents as a run."""
    if not dataset.has_scoreddocs():
        raise HeadRankError(
            f"{dataset_id}: the dataset has no scored documents; set `candidates: false` and let "
            "BM25 retrieve"
        )
    scores: dict[str, dict[str, float]] = {}
    for line in dataset.scoreddocs_iter():
        scores.setdefault(line.query_id, {})[line.doc_id] = float(line.score)
    # DL 2019 and 2020 list 1,000 documents a query, unordered, each with score 0.
    if all(
        len(documents) > 1 and len(set(documents.values())) == 1 for documents in scores.values()
    ):
        raise HeadRankError(
            f"{dataset_id}: its scored documents all have the same score, so they are no ranking; "
            "set `candidates: false` and let BM25 retrieve"
        )
    return Run.from_scores(scores, "ir_datasets")


def _counts(queries: list[Query], qrels: Qrels) -> dict[str, object]:
    """Return the source's counts, before anything is left out."""
    grades = [grade for documents in qrels.grades.values() for grade in documents.values()]
    return {
        "queries": len(queries),
        "judged_queries": len(qrels.grades),
        "judgments": len(grades),
        "grades": {str(grade): grades.count(grade) for grade in sorted(set(grades))},
    }


def _check_judged(
    irds: ModuleType, dataset_id: str, queries: list[Query], qrels: Qrels, unjudged: str
) -> None:
    """Refuse queries without judgments unless they may be dropped; name the better id."""
    lacking = sum(not qrels.grades.get(query.query_id) for query in queries)
    if lacking and unjudged == "error":
        subset = f"{dataset_id}/judged"
        advice = f"export {subset}, or " if subset in irds.registry else ""
        raise HeadRankError(
            f"{dataset_id}: {lacking} of {len(queries)} queries have no judgments; {advice}set "
            "`unjudged: drop`"
        )
