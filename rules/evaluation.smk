from headrank.workflow.config.ablations import settings
from headrank.workflow import studies


rule evaluate:
    input:
        runs=[experiment.run_of(cell) for cell in experiment.cells],
        qrels=experiment.qrels_of(experiment.sets),
        # It says that roles are apart, and decides no number.
        roles=ancient("<results>/sets/roles.json"),
    output:
        per_query="<results>/evaluation/per_query.parquet",
        per_run="<results>/evaluation/per_run.parquet",
    log:
        "<logs>/evaluation/per_query.log",
    conda:
        "../envs/ir.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=sizes.evaluation_minutes,
    params:
        cells=experiment.cells,
        seeds=experiment.adapters,
        levels=studies.relevance_levels(experiment, experiment.sets),
        measures=config["evaluation"]["measures"],
        code=code("evaluate_runs"),
    message:
        "Evaluate every run"
    script:
        "../workflow/scripts/evaluate_runs.py"


rule compare:
    input:
        per_query="<results>/evaluation/per_query.parquet",
    output:
        "<results>/evaluation/significance.csv",
    log:
        "<logs>/evaluation/significance.log",
    conda:
        "../envs/ir.yaml"
    params:
        pairs=config["evaluation"]["comparisons"],
        orders=config["evaluation"]["orders"],
        measure=config["evaluation"]["main"],
        resamples=config["evaluation"]["resamples"],
        confidence=config["evaluation"]["confidence"],
        seed=config["seed"],
        code=code("compare_methods"),
    message:
        "Compare methods with permutation tests"
    script:
        "../workflow/scripts/compare_methods.py"


rule evaluation:
    input:
        studies.evaluation_files(experiment),
    localrule: True


# One setting changed at a time, on the report's set and order: `snakemake ablations`.
use rule evaluate as evaluate_ablations with:
    input:
        runs=[experiment.run_of(cell) for cell in studies.ablated_cells(experiment)],
        qrels=experiment.qrels_of([experiment.report_set]),
        roles=ancient("<results>/sets/roles.json"),
    output:
        per_query="<results>/ablations/per_query.parquet",
        per_run="<results>/ablations/per_run.parquet",
    log:
        "<logs>/ablations/per_query.log",
    params:
        cells=studies.ablated_cells(experiment),
        seeds=experiment.adapters,
        levels=studies.relevance_levels(experiment, [experiment.report_set]),
        measures=[config["evaluation"]["main"]],
        code=code("evaluate_runs"),
    message:
        "Evaluate every ablated setting"


rule ablation_differences:
    input:
        per_query="<results>/ablations/per_query.parquet",
    output:
        "<results>/ablations/{model}.csv",
    log:
        "<logs>/ablations/{model}.log",
    wildcard_constraints:
        model=one_of(experiment.models),
    conda:
        "../envs/ir.yaml"
    params:
        settings=[vars(setting) for setting in settings(config)],
        options={key: config["evaluation"][key] for key in ("confidence", "resamples")}
        | {"seed": config["seed"]},
        code=code("compare_settings"),
    message:
        "Compare the ablated settings of {wildcards.model}"
    script:
        "../workflow/scripts/compare_settings.py"
