rule evaluate:
    input:
        runs=[run_of(cell) for cell in CELLS],
        qrels=[f"{RESULTS}/sets/{name}/qrels.tsv" for name in EXPERIMENT["sets"]],
        roles="<results>/sets/roles.json",
    output:
        per_query="<results>/evaluation/per_query.parquet",
        per_run="<results>/evaluation/per_run.parquet",
    log:
        "<logs>/evaluation/per_query.log",
    conda:
        "../envs/ir.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=evaluation_minutes,
    params:
        cells=CELLS,
        seeds=ADAPTERS,
        levels={
            name: COLLECTIONS[SETS[name]["collection"]]["relevance_level"]
            for name in EXPERIMENT["sets"]
        },
        measures=config["evaluation"]["measures"],
        code=code("evaluate_runs"),
    message:
        "Evaluate every run"
    script:
        "../workflow/scripts/evaluate_runs.py"


rule compare:
    input:
        "<results>/evaluation/per_query.parquet",
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
        "<results>/evaluation/per_query.parquet",
        ["<results>/evaluation/significance.csv"] if config["evaluation"]["comparisons"] else [],
    localrule: True
