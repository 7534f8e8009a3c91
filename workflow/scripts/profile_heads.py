"""Profile every head of a model on labelled queries."""

import logging

from headrank.data.trec import Qrels
from headrank.errors import HeadRankError
from headrank.heads.profile import profile_heads
from headrank.io.files import atomic
from headrank.reading.readings import load_shards
from headrank.workflow.script import run_job

logger = logging.getLogger(__name__)


def main(
    readings: list[str], qrels: list[str], profile: str, table: str, temperature: float
) -> None:
    """Write the profile (.npz) and its table (.csv)."""
    grades: dict = {}
    for path in qrels:
        found = Qrels.load(path).grades
        if twice := grades.keys() & found.keys():
            raise HeadRankError(
                f"{path}: query {min(twice)} also stands in another profiling set; "
                "query ids must differ"
            )
        grades.update(found)
    result = profile_heads(load_shards(readings), Qrels(grades), temperature)
    logger.info("%d profiling queries of %d have two grades", len(result.queries), len(grades))
    result.save(profile)
    with atomic(table) as temporary:
        result.table().to_csv(temporary, index=False)


if __name__ == "__main__":
    run_job(main, snakemake)
