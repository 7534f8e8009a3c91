"""Select heads from a profile."""

import logging

from headrank.heads.profile import Profile
from headrank.options.selection import SelectionOptions
from headrank.workflow.script import run_job

logger = logging.getLogger(__name__)


def main(profile: str, options: dict, target: str) -> None:
    """Write the selected heads as JSON."""
    heads = Profile.load(profile).select(SelectionOptions(**options))
    logger.info("layer, head: %s", " ".join(f"({layer},{head})" for layer, head in heads.pairs))
    heads.save(target)


if __name__ == "__main__":
    run_job(main, snakemake)
