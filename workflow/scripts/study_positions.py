"""Follow relevance and its spread along the prompt."""

from pathlib import Path

import pandas as pd

from headrank.data.heads import HeadSet
from headrank.data.trec import Qrels
from headrank.evaluation.homogenisation import by_position, parts_of, scored_reading, zone_spread
from headrank.io.files import atomic
from headrank.options.fold import Fold
from headrank.reading.arranged import load_in_order
from headrank.workflow.script import run_job


def main(
    qrels: str,
    panels: dict,
    positions: str,
    spread: str,
    parts: int,
    order: str,
    options: dict,
) -> None:
    """Write one row a method, part of the prompt and kind, and one a method and zone.

    Lists shorter than the parts are left out; those of all training seeds are joined. Lists are
    the same for each method, so are the parts.
    """
    # An object store's files lie under a folder of their own.
    root = Path(qrels).parents[3]
    judged = Qrels.load(qrels)
    along, zones = [], []
    for name, panel in panels.items():
        lists = []
        for seed in panel["seeds"]:
            heads = HeadSet.load(root / seed["heads"][0]) if seed["heads"] else None
            shards = load_in_order(
                [root / path for path in seed["readings"]], order, options["seed"]
            )
            lists += scored_reading(shards, heads, Fold(**panel["fold"]))
        count = parts_of(lists, parts)
        long = [item for item in lists if len(item.doc_ids) >= count]
        level = options["relevance_level"]
        along.append(by_position(long, judged, count, level).assign(system=name))
        zones.append(zone_spread(lists, options["confidence"], options["seed"]).assign(system=name))
    for tables, target in ((along, positions), (zones, spread)):
        with atomic(target) as temporary:
            pd.concat(tables).to_csv(temporary, index=False)


if __name__ == "__main__":
    run_job(main, snakemake)
