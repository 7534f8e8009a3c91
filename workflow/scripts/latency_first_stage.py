"""Time the first stage: one search of the index a query."""

from pathlib import Path

from headrank.collections.set_files import load_lists
from headrank.first_stage.bm25 import Bm25Index
from headrank.io.files import atomic
from headrank.timing.stopwatch import Work, costs
from headrank.workflow.job import job_log


def main(
    lists: Path, index: Path, target: str, *, name: str, depth: int, count: int, rounds: int
) -> None:
    """Write one row a list and round."""
    loaded = Bm25Index.load(index)

    def search(candidates) -> Work:
        loaded.search({candidates.query_id: candidates.query}, depth, progress=False)
        return Work()

    with atomic(target) as temporary:
        table = costs({name: search}, load_lists(lists)[:count], rounds)
        table.assign(device="cpu").to_csv(temporary, index=False)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        main(
            Path(snakemake.input.queries).parent,
            Path(snakemake.input.bm25[0]).parent,
            snakemake.output[0],
            name=snakemake.params.method,
            depth=snakemake.params.depth,
            count=snakemake.params.latency["lists"],
            rounds=snakemake.params.latency["rounds"],
        )
