"""Retrieve the first stage of a split's judged queries, or import it from a TREC run."""

import logging
from pathlib import Path

from headrank.collections.collection import (
    load_exclusions,
    load_qrels,
    load_queries,
    verify_collection,
)
from headrank.collections.query_sets import import_run
from headrank.errors import HeadRankError
from headrank.first_stage.bm25 import Bm25Index
from headrank.io.files import folder_of
from headrank.workflow.job import job_log

logger = logging.getLogger(__name__)


def main(
    collection: Path, index: str | None, imported: str | None, target: str, split: str, depth: int
) -> None:
    """Write the run, ``depth`` documents a query: indexed, imported or the collection's own."""
    verify_collection(collection)
    queries = load_queries(collection, split)
    judged = load_qrels(collection).only(queries).grades
    texts = {query: queries[query].text for query in sorted(judged)}
    excluded = load_exclusions(collection)
    if index is not None:
        run = Bm25Index.load(Path(index).parent).search(texts, depth, excluded)
    else:
        run = import_run(collection, imported, texts, excluded, depth)
    empty = [query for query in texts if not run.rankings[query]]
    if len(empty) == len(texts):
        raise HeadRankError(
            f"{imported or collection}: no judged query of split {split!r} has a candidate; "
            "check the split and the query ids"
        )
    if empty:
        logger.warning("%d of %d queries have no candidate: %s", len(empty), len(texts), empty[:10])
    run.save(target)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        main(
            folder_of(snakemake.input.collection[0]),
            snakemake.input.get("index"),
            snakemake.input.get("run"),
            snakemake.output[0],
            snakemake.wildcards.split,
            snakemake.params.depth,
        )
