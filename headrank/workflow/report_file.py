"""Snakemake's own report of finished results, as one file."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

from headrank.errors import HeadRankError


def write_report(target: str, options: Sequence[str]) -> None:
    """Write one HTML file.

    Args:
        options: Snakemake's, as of the run that asks for the report. This folder is locked by
            that run, which waits for the report, so its lock is passed by.

    Raises:
        HeadRankError: Snakemake could not write it; its words are on stderr.
    """
    call = [sys.executable, "-m", "snakemake", *options, "--nolock", "--report", target]
    made = subprocess.run(
        call, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if made.returncode:
        print(made.stdout, file=sys.stderr)
        raise HeadRankError(
            f"{target}: Snakemake's report failed (above); try `snakemake --report {target}`"
        )
