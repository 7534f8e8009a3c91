"""Write the table of selected heads, with the stability of each choice."""

from pathlib import Path

from headrank.heads import HeadSet
from headrank.joblog import job_log
from headrank.profile import Profile, SelectionOptions
from headrank.tables import head_table


def main(
    profile: str,
    heads: list[str],
    target: str,
    selections: dict,
    resamples: int,
    seed: int,
    names: dict[str, str],
) -> None:
    """Write CSV, Markdown and LaTeX beside each other."""
    chosen = {Path(path).stem: HeadSet.load(path) for path in heads}
    known = Profile.load(profile)
    stability = {
        name: known.stability(SelectionOptions(**selections[name]), resamples, seed)
        for name in chosen
    }
    head_table(chosen, stability, names, known.blind).save(Path(target).with_suffix(""))


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        main(
            snakemake.input.profile,
            list(snakemake.input.heads),
            snakemake.output[0],
            snakemake.params.selections,
            snakemake.params.resamples,
            snakemake.params.seed,
            snakemake.params.names,
        )
