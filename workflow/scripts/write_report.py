"""Write Snakemake's own report of the finished results."""

from headrank.workflow.report_file import write_report
from headrank.workflow.script import run_job

if __name__ == "__main__":
    run_job(write_report, snakemake)
