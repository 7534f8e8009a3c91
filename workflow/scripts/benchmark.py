"""Run one of the benchmarks in a process of its own, where Snakemake takes no part."""

import os
import subprocess
import sys
from pathlib import Path

from headrank.errors import HeadRankError
from headrank.io.files import folder_of
from headrank.workflow.job import job_log


def main(root: Path, module: str, model: Path, target: str, options: list[str]) -> None:
    """Write the benchmark's CSV."""
    command = [sys.executable, "-m", f"benchmarks.{module}", str(model), "--output", target]
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    result = subprocess.run(
        [*command, *options], cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    sys.stderr.write(result.stderr)
    if result.returncode:
        raise HeadRankError(f"benchmark {module} ended with {result.returncode}; see above")


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        main(
            Path(snakemake.scriptdir).parents[1],
            snakemake.params.module,
            folder_of(snakemake.input.model[0]).resolve(),
            str(Path(snakemake.output[0]).resolve()),
            [str(option) for option in snakemake.params.options],
        )
