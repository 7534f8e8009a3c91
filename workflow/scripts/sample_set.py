"""Sample one query set from a split, with candidates, documents and judgments."""

import logging
from pathlib import Path

from headrank.collections.query_sets import build_set
from headrank.collections.set_files import save_set
from headrank.data.trec import Run
from headrank.io.files import read_jsonl, write_json
from headrank.workflow.script import Folder, run_job

logger = logging.getLogger(__name__)


def main(
    collection: Folder, run: str, earlier: list[str], target: Folder, options: dict, **limits: int
) -> None:
    """Write the set's folder; ``earlier`` are the query files of sets of earlier roles."""
    texts = {
        Path(path).parent.name: {r["query_id"]: r["text"] for _, r in read_jsonl(path)}
        for path in earlier
    }
    sampling = {key: options[key] for key in ("split", "pool", "take", "skip")}
    sample = build_set(collection, Run.load(run), earlier=texts, **sampling, **limits)
    logger.info("%d queries, %d dropped", len(sample.lists), len(sample.dropped))
    for query, other in sample.dropped.items():
        logger.info("dropped query %s: the same text stands in set %s", query, other)
    save_set(target, sample.lists, sample.run, sample.qrels)
    write_json(
        target / "set.json",
        {**options, **limits, "queries": len(sample.lists), "dropped": sample.dropped},
    )


if __name__ == "__main__":
    run_job(main, snakemake)
