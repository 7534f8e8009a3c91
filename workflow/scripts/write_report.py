"""Write Snakemake's own report of the finished results."""

import subprocess
import sys

from headrank.errors import HeadRankError
from headrank.joblog import job_log


def main(target: str, python: str, options: list[str]) -> None:
    """Write one HTML file.

    Args:
        python: that of the run which asks for the report; it has Snakemake.
        options: Snakemake's, as of the run that asks for the report. This folder is locked by that
            run, which waits for the report, so its lock is passed by.
    """
    call = [python, "-m", "snakemake", *options, "--nolock", "--report", target]
    made = subprocess.run(
        call, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if made.returncode:
        print(made.stdout, file=sys.stderr)
        raise HeadRankError(
            f"{target}: Snakemake's report failed (above); try `snakemake --report {target}`"
        )


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        main(snakemake.output[0], snakemake.params.python, list(snakemake.params.options))
