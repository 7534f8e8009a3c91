# One setting changed at a time, on the report's set and order: `snakemake ablations`.
SETTINGS = settings(config)
ABLATED = [
    (REPORT_SET, model, adapter, REPORT_ORDER, method)
    for model in EXPERIMENT["models"]
    for method in dict.fromkeys(setting.method for setting in SETTINGS)
    for adapter in adapters_of(method)
]


use rule evaluate as evaluate_ablations with:
    input:
        runs=[run_of(cell) for cell in ABLATED],
        qrels=[f"{RESULTS}/sets/{REPORT_SET}/qrels.tsv"],
        roles="<results>/sets/roles.json",
    output:
        per_query="<results>/ablations/per_query.parquet",
        per_run="<results>/ablations/per_run.parquet",
    log:
        "<logs>/ablations/per_query.log",
    params:
        cells=ABLATED,
        seeds=ADAPTERS,
        levels={
            REPORT_SET: COLLECTIONS[SETS[REPORT_SET]["collection"]]["relevance_level"],
        },
        measures=[config["evaluation"]["main"]],
        code=code("evaluate_runs"),
    message:
        "Evaluate every ablated setting"


rule ablation_differences:
    input:
        "<results>/ablations/per_query.parquet",
    output:
        "<results>/ablations/{model}.csv",
    log:
        "<logs>/ablations/{model}.log",
    wildcard_constraints:
        model=one_of(MODELS),
    conda:
        "../envs/ir.yaml"
    params:
        settings=[vars(setting) for setting in SETTINGS],
        options={key: config["evaluation"][key] for key in ("confidence", "resamples")}
        | {"seed": config["seed"]},
        code=code("compare_settings"),
    message:
        "Compare the ablated settings of {wildcards.model}"
    script:
        "../workflow/scripts/compare_settings.py"


rule ablation_table:
    input:
        "<results>/ablations/{model}.csv",
    output:
        report(
            "<results>/tables/ablations/{model}.csv",
            caption="../workflow/report/ablations_table.rst",
            category="Tables",
            labels={"table": "ablations, {model}"},
        ),
        "<results>/tables/ablations/{model}.md",
        "<results>/tables/ablations/{model}.tex",
    log:
        "<logs>/tables/ablations/{model}.log",
    conda:
        "../envs/figures.yaml"
    params:
        measure=config["evaluation"]["main"],
        confidence=config["evaluation"]["confidence"],
        code=code("ablation_table"),
    message:
        "Tabulate the ablations of {wildcards.model}"
    script:
        "../workflow/scripts/ablation_table.py"


rule ablation_figure:
    input:
        "<results>/ablations/{model}.csv",
    output:
        pdf="<results>/figures/{model}/ablations.pdf",
        png=report(
            "<results>/figures/{model}/ablations.png",
            caption="../workflow/report/ablations.rst",
            category="Figures",
            labels={"figure": "ablations", "model": "{model}"},
        ),
    log:
        "<logs>/figures/{model}/ablations.log",
    conda:
        "../envs/figures.yaml"
    params:
        measure=config["evaluation"]["main"],
        alpha=REPORT["alpha"],
        code=code("figure_ablations"),
    message:
        "Draw the ablations of {wildcards.model}"
    script:
        "../workflow/scripts/figure_ablations.py"
