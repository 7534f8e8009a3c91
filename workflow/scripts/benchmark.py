"""Run one of the benchmarks in a process of its own, where Snakemake takes no part."""

import os
import subprocess
import sys
from pathlib import Path

import headrank
from headrank.errors import HeadRankError
from headrank.workflow.script import Folder, run_job


def main(module: str, model: Folder, target: Path, options: list) -> None:
    """Write the benchmark's CSV."""
    command = [sys.executable, "-m", f"benchmarks.{module}", str(model.resolve())]
    command += ["--output", str(target.resolve()), *map(str, options)]
    root = Path(headrank.__file__).parents[1]
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    result = subprocess.run(
        command, cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    sys.stderr.write(result.stderr)
    if result.returncode:
        raise HeadRankError(f"benchmark {module} ended with {result.returncode}; see above")


if __name__ == "__main__":
    run_job(main, snakemake)
