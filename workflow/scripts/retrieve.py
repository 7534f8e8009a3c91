"""Retrieve the first stage of a split's judged queries, or import it from a TREC run."""

import logging

from headrank.collections.collection import (
    load_exclusions,
    load_qrels,
    load_queries,
    verify_collection,
)
from headrank.collections.query_sets import import_run
from headrank.errors import HeadRankError
from headrank.first_stage.bm25 import Bm25Index
from headrank.workflow.script import Folder, run_job

logger = logging.getLogger(__name__)


def main(
    collection: Folder,
    target: str,
    *,
    split: str,
    depth: int,
    index: Folder | None = None,
    run: str | None = None,
) -> None:
    """Write the run, ``depth`` documents a query: indexed, imported or the collection's own."""
    verify_collection(collection)
    queries = load_queries(collection, split)
    judged = load_qrels(collection).only(queries).grades
    texts = {query: queries[query].text for query in sorted(judged)}
    excluded = load_exclusions(collection)
    if index is not None:
        found = Bm25Index.load(index).search(texts, depth, excluded)
    else:
        found = import_run(collection, run, texts, excluded, depth)
    empty = [query for query in texts if not found.rankings[query]]
    if len(empty) == len(texts):
        raise HeadRankError(
            f"{run or collection}: no judged query of split {split!r} has a candidate; "
            "check the split and the query ids"
        )
    if empty:
        logger.warning("%d of %d queries have no candidate: %s", len(empty), len(texts), empty[:10])
    found.save(target)


if __name__ == "__main__":
    run_job(main, snakemake)
