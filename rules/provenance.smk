from headrank.joblog import job_log
from headrank.workflow.report_file import write_report


# Beside the runs, not in them: a run's bytes hold no time and no machine. All sets have the same
# cells. One job for all would make Snakemake compare each of its outputs with each of its inputs.
rule describe_runs:
    input:
        **provenance.cards(),
        runs=lambda wildcards: provenance.runs(wildcards.set),
        queries="<results>/sets/{set}/queries.jsonl",
        made_from=lambda wildcards: provenance.made_from(wildcards.set),
    output:
        provenance.metadata("{set}"),
    log:
        "<logs>/describe_runs/{set}.log",
    wildcard_constraints:
        set=one_of(experiment.sets),
    localrule: True
    conda:
        "../envs/ir.yaml"
    params:
        config=CONFIG,
        cells=lambda wildcards: provenance.cells(wildcards.set),
        runs=lambda wildcards: provenance.runs(wildcards.set),
        made_from=lambda wildcards: [
            experiment.made_from(cell) for cell in provenance.cells(wildcards.set)
        ],
        command=provenance.command(),
        code=code("describe_runs"),
    message:
        "Describe each run on {wildcards.set} beside it"
    script:
        "../workflow/scripts/describe_runs.py"


rule manifest:
    input:
        **provenance.cards(),
        adapters=provenance.adapters(),
        runs=provenance.runs(),
        metadata=provenance.metadata(),
        results=provenance.results(),
        # What it tells of steps on the way: an object store brings what is asked for alone.
        sets=provenance.sets(),
        made_from=provenance.made_from(),
    output:
        "<results>/manifest.json",
    log:
        "<logs>/manifest.log",
    localrule: True
    conda:
        "../envs/ir.yaml"
    params:
        config=CONFIG,
        queries=provenance.queries(),
        own=own.of_results(),
        partial=STORED,
        code=code("write_manifest"),
    message:
        "Note what the results were made with"
    script:
        "../workflow/scripts/write_manifest.py"


# Every table and figure in one file that needs no other: `snakemake report`. Snakemake's language
# has a word `report`, so the rule is named like this.
rule:
    # Not a script: an environment of its own would lack Snakemake.
    name:
        "report"
    input:
        told(provenance.shown),
        manifest="<results>/manifest.json",
    output:
        "<results>/report.html",
    log:
        "<logs>/report.log",
    localrule: True
    params:
        options=provenance.options(workflow.config_settings.config),
    message:
        "Write the report"
    run:
        with job_log(log[0]):
            write_report(output[0], params.options)
