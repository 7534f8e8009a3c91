"""Snakemake's own report of finished results, as one file."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from headrank.errors import HeadRankError

LOOK = Path(__file__).parents[2] / "workflow/report/report.css"
"""How the report shows its first page: the main table over its whole width, the graph below."""


def table_of_page(path: str) -> str:
    """Return the table of a page as one line of HTML; empty if there is no such page yet.

    reStructuredText takes it as it is; a line of its own would end there.
    """
    if not Path(path).is_file():
        return ""
    body = Path(path).read_text(encoding="utf-8").partition("<body>")[2].partition("</body>")[0]
    return " ".join(body.split())


def write_report(target: str, python: str, options: Sequence[str]) -> None:
    """Write one HTML file.

    Args:
        python: that of the run which asks for the report: it has Snakemake.
        options: Snakemake's, as of the run that asks for the report. This folder is locked by
            that run, which waits for the report, so its lock is passed by.

    Raises:
        HeadRankError: Snakemake could not write it; its words are on stderr.
    """
    call = [python, "-m", "snakemake", *options, "--nolock", "--report", target]
    call += ["--report-stylesheet", str(LOOK)]
    made = subprocess.run(
        call, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if made.returncode:
        print(made.stdout, file=sys.stderr)
        raise HeadRankError(
            f"{target}: Snakemake's report failed (above); try `snakemake --report {target}`"
        )
