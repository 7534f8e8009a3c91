"""A dataset of ir_datasets, exported once to our layout so that later jobs need neither."""

from __future__ import annotations

import contextlib
import difflib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from headrank.collection import Document, Query, check_counts, save_collection
from headrank.errors import HeadRankError
from headrank.sources.kept import Kept, check_choice
from headrank.trec import Qrels, Run


def export_ir_datasets(
    dataset_id: str,
    target: str | os.PathLike,
    expect: Mapping[str, object] | None = None,
    *,
    documents: str = "all",
    candidates: bool = False,
    unjudged: str = "error",
    unknown: str = "error",
    split: str = "test",
) -> dict:
    """Write a dataset of ir_datasets as a collection; return its counts.

    ir_datasets has no locks, and two processes that open one archive for the first time
    spoil it, so the whole export holds a file lock for that archive.

    Documents without title and text are left out and counted in the description; their
    judgments stay and count as never retrieved, as in Lucene's indexes. Negative grades
    stay, too: they are not relevant, and nDCG gives them gain 0.

    Args:
        dataset_id: such as ``beir/nfcorpus/test``.
        target: replaced if it exists.
        expect: counts that the source must have: ``documents`` (with empty ones; under
            ``judged+scored`` those exported), ``queries``, ``judgments``, ``grades``.
        documents: ``all``, or ``judged+scored``: only what the qrels and the dataset's own
            scored documents name, for corpora too large to copy (MS MARCO v2).
        candidates: take the dataset's scored documents as ``candidates.run``.
        unjudged: ``error``, or ``drop`` queries without judgments.
        unknown: ``error``, or ``keep`` judgments of documents that the corpus does not
            have; they count as never retrieved.
        split: the split that all its queries get.

    Raises:
        HeadRankError: an unknown id, no network and nothing in the local store, other
            counts than expected, or candidates without scores.
    """
    check_choice("documents", documents, ("all", "judged+scored"))
    check_choice("unjudged", unjudged, ("error", "drop"))
    check_choice("unknown", unknown, ("error", "keep"))
    irds = _ir_datasets()
    dataset = _load(irds, dataset_id)
    expected = dict(expect or {})
    with _archive_lock(irds, dataset_id), _translated(irds, dataset_id):
        qrels = _qrels(dataset, dataset_id)
        queries = [Query(q.query_id, q.default_text(), split) for q in dataset.queries_iter()]
        run = _candidates(dataset, dataset_id) if candidates else None
        expected_documents = expected.pop("documents", None)
        if "grades" in expected:
            # YAML reads the grades as numbers, JSON can only have them as text.
            expected["grades"] = {str(grade): n for grade, n in expected["grades"].items()}
        check_counts(_counts(queries, qrels), expected, dataset_id)
        asked = _judged(irds, dataset_id, queries, qrels, unjudged)
        if run is not None:
            texts = {query.query_id for query in asked}
            run = Run({q: pairs for q, pairs in run.rankings.items() if q in texts}, run.name)
        names = {name for grades in qrels.grades.values() for name in grades}
        kept = Kept(_documents(dataset, names, documents), names)
        description: dict[str, object] = {
            "kind": "ir_datasets",
            "id": dataset_id,
            "version": irds.__version__,
            "documents": documents,
            "dropped_queries": len(queries) - len(asked),
        }
        absent: set[str] = set()

        def checked() -> Iterator[Document]:
            yield from kept
            if expected_documents is not None:
                check_counts(
                    {"documents": kept.total}, {"documents": expected_documents}, dataset_id
                )
            if kept.unseen and unknown == "error":
                raise HeadRankError(
                    f"{dataset_id}: {len(kept.unseen)} judged documents are not in its corpus "
                    f"({', '.join(sorted(kept.unseen)[:3])}, ...); set `unknown: keep` to keep "
                    "their judgments, which then count as never retrieved"
                )
            description["dropped_documents"] = len(kept.empty)
            absent.update(kept.absent)

        return save_collection(
            target,
            checked(),
            asked,
            qrels,
            description,
            candidates=run,
            absent=absent,
        )


def _ir_datasets() -> ModuleType:
    """Return ir_datasets, an optional dependency."""
    try:
        import ir_datasets
    except ImportError:
        raise HeadRankError(
            "collections of kind ir_datasets need the package; run `pip install ir_datasets`"
        ) from None
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


def _judged(
    irds: ModuleType, dataset_id: str, queries: list[Query], qrels: Qrels, unjudged: str
) -> list[Query]:
    """Return the queries with judgments; without them the message names the better id."""
    judged = [query for query in queries if qrels.grades.get(query.query_id)]
    if len(judged) < len(queries) and unjudged == "error":
        subset = f"{dataset_id}/judged"
        advice = f"export {subset}, or " if subset in irds.registry else ""
        raise HeadRankError(
            f"{dataset_id}: {len(queries) - len(judged)} of {len(queries)} queries have no "
            f"judgments; {advice}set `unjudged: drop`"
        )
    return judged


def _documents(dataset: Any, judged: Iterable[str], documents: str) -> Iterator[Document]:
    """Yield the corpus, or only the judged and scored documents, in a fixed order."""
    if documents == "all":
        source = dataset.docs_iter()
    else:
        wanted = set(judged)
        if dataset.has_scoreddocs():
            wanted.update(line.doc_id for line in dataset.scoreddocs_iter())
        source = dataset.docs_store().get_many_iter(sorted(wanted))
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
