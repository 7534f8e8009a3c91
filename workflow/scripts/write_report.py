"""Write Snakemake's own report of the finished results."""

from headrank.workflow.job import job_log
from headrank.workflow.report_file import write_report

if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        write_report(snakemake.output[0], snakemake.params.python, snakemake.params.options)
