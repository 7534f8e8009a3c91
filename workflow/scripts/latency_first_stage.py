"""Time the first stage: one search of the index a query."""

from headrank.collections.set_files import load_lists
from headrank.first_stage.bm25 import Bm25Index
from headrank.io.files import atomic
from headrank.timing.stopwatch import Work, costs
from headrank.workflow.script import Folder, run_job


def main(
    lists: Folder, index: Folder, target: str, *, method: str, depth: int, latency: dict
) -> None:
    """Write one row a list and round."""
    loaded = Bm25Index.load(index)

    def search(candidates) -> Work:
        loaded.search({candidates.query_id: candidates.query}, depth, progress=False)
        return Work()

    with atomic(target) as temporary:
        table = costs({method: search}, load_lists(lists)[: latency["lists"]], latency["rounds"])
        table.assign(device="cpu").to_csv(temporary, index=False)


if __name__ == "__main__":
    run_job(main, snakemake)
