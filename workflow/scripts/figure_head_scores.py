"""Draw the selection scores of all heads, and the selected ones beside controls."""

from pathlib import Path

import pandas as pd

from headrank.figures import head_scores, save
from headrank.heads import HeadSet
from headrank.joblog import job_log
from headrank.profile import Profile, SelectionOptions


def main(
    profile: str,
    heads: str,
    controls: str,
    per_query: str,
    target: str,
    selection: dict,
    measure: str,
    name: str,
    first_stage: list[str],
) -> None:
    """Write PDF and PNG; ``name`` is the set of the controls."""
    table = pd.read_parquet(per_query)
    own = table[(table["measure"] == measure) & (table["set"] == name)]
    known = own[own["method"].isin(first_stage)]["value"]
    figure = head_scores(
        Profile.load(profile).scores(SelectionOptions(**selection)),
        HeadSet.load(heads),
        pd.read_csv(controls),
        measure=measure,
        first_stage=float(known.mean()) if len(known) else None,
    )
    save(figure, Path(target).with_suffix(""))


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        main(
            snakemake.input.profile,
            snakemake.input.heads[0],
            snakemake.input.controls,
            snakemake.input.per_query,
            snakemake.output.pdf,
            snakemake.params.selection,
            snakemake.params.measure,
            snakemake.params.set,
            snakemake.params.first_stage,
        )
