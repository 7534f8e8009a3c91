"""Sample one query set from a split, with candidates, documents and judgments."""

import logging
from pathlib import Path

from headrank.collections.query_sets import Sampling, build_set
from headrank.collections.set_files import save_set
from headrank.data.trec import Run
from headrank.io.files import read_jsonl, write_json
from headrank.workflow.script import Folder, run_job

logger = logging.getLogger(__name__)


def main(
    collection: Folder,
    run: str,
    earlier: list[str],
    target: Folder,
    options: dict,
    candidates: int,
    seed: int,
) -> None:
    """Write the set's folder; ``earlier`` are the query files of sets of earlier roles."""
    texts = {
        Path(path).parent.name: {r["query_id"]: r["text"] for _, r in read_jsonl(path)}
        for path in earlier
    }
    sampling = Sampling(options["pool"], options["take"], options["skip"], seed)
    sample = build_set(
        collection,
        Run.load(run),
        sampling,
        split=options["split"],
        candidates=candidates,
        earlier=texts,
    )
    logger.info("%d queries, %d dropped", len(sample.lists), len(sample.dropped))
    for query, other in sample.dropped.items():
        logger.info("dropped query %s: the same text stands in set %s", query, other)
    save_set(target, sample.lists, sample.run, sample.qrels)
    write_json(
        target / "set.json",
        {
            **options,
            "candidates": candidates,
            "seed": seed,
            "queries": len(sample.lists),
            "dropped": sample.dropped,
        },
    )


if __name__ == "__main__":
    run_job(main, snakemake)
