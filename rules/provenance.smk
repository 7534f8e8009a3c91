import sys


# Beside the runs, not in them: a run's bytes hold no time and no machine. All sets have the same
# cells. One job for all would make Snakemake compare each of its outputs with each of its inputs.
rule describe_runs:
    input:
        **provenance.cards(),
        queries="<results>/sets/{set}/queries.jsonl",
        needed=lambda wildcards: [
            *provenance.runs(wildcards.set),
            *provenance.made_from(wildcards.set),
        ],
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
        runs=provenance.runs(),
        others=[*provenance.adapters(), *provenance.metadata(), *provenance.results()],
        # What it tells of steps on the way: an object store brings what is asked for alone.
        needed=[*provenance.sets(), *provenance.made_from()],
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
    name:
        "report"
    input:
        told(provenance.shown),
        needed="<results>/manifest.json",
    output:
        "<results>/report.html",
    log:
        "<logs>/report.log",
    localrule: True
    conda:
        "../envs/ir.yaml"
    params:
        # An environment of the script's own would lack Snakemake.
        python=sys.executable,
        options=provenance.options(workflow.config_settings.config),
    message:
        "Write the report"
    script:
        "../workflow/scripts/write_report.py"
