"""Follow relevance and its spread along the prompt."""

from pathlib import Path

import pandas as pd

from headrank.files import atomic
from headrank.heads import HeadSet
from headrank.joblog import job_log
from headrank.methods import Fold
from headrank.middle import by_position, scored_reading
from headrank.reading import load_shards
from headrank.trec import Qrels


def main(
    readings: dict[str, list[str]],
    qrels: str,
    heads: list[str],
    target: str,
    methods: dict,
    parts: int,
) -> None:
    """Write one row a method, part of the prompt and kind; lists shorter than that are left out."""
    judged = Qrels.load(qrels)
    selected = {Path(path).stem: HeadSet.load(path) for path in heads}
    tables = []
    for name, method in methods.items():
        shards = load_shards(readings[name])
        lists = scored_reading(shards, selected.get(method["heads"]), Fold(**method["fold"]))
        long = (item for item in lists if len(item.doc_ids) >= parts)
        tables.append(by_position(long, judged, parts).assign(system=name))
    with atomic(target) as temporary:
        pd.concat(tables).to_csv(temporary, index=False)


if __name__ == "__main__":
    # An object store's files lie under a folder of their own.
    root = Path(snakemake.input.qrels).parents[3]
    with job_log(snakemake.log[0]):
        main(
            {
                name: [str(root / path) for path in paths]
                for name, paths in snakemake.params.readings.items()
            },
            snakemake.input.qrels,
            list(snakemake.input.heads),
            snakemake.output[0],
            snakemake.params.methods,
            snakemake.params.parts,
        )
