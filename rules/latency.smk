# What a list costs each method, by the path a deployment takes: a truncated model, selected heads.
# `snakemake timing`; with `report.latency` every run. A job a method: only what changed is timed again.
rule latency:
    input:
        unpack(lambda wildcards: set_files(REPORT_SET)),
        timed_files,
        model=model_part("{model}"),
    output:
        "<results>/latency/{model}/{method}.csv",
    log:
        "<logs>/latency/{model}/{method}.log",
    wildcard_constraints:
        model=one_of(EXPERIMENT["models"]),
    conda:
        torch_env
    # The work takes `reading.threads`; the other cores are kept free of jobs.
    threads: all_cores
    resources:
        mem_mb=lambda wildcards, attempt: 2 * memory(wildcards, attempt),
        runtime=minutes,
        gpu=on_gpu(1),
        gpu_manufacturer=on_gpu("nvidia"),
    params:
        model=weights_of,
        prompt=config["prompt"],
        order=REPORT_ORDER,
        seed=config["seed"],
        working_threads=config["reading"]["threads"],
        system=timed_system,
        lists=LATENCY["lists"],
        rounds=LATENCY["rounds"],
        code=code("latency"),
    message:
        "Time {wildcards.method} on {wildcards.model}"
    script:
        "../workflow/scripts/latency.py"


rule latency_first_stage:
    input:
        unpack(lambda wildcards: set_files(REPORT_SET)),
        bm25=report_index(),
    output:
        "<results>/latency/first-stage.csv",
    log:
        "<logs>/latency/first-stage.log",
    conda:
        "../envs/ir.yaml"
    threads: all_cores
    resources:
        mem_mb=lambda wildcards, attempt: (
            COLLECTIONS[SETS[REPORT_SET]["collection"]]["memory_mb"] * attempt
        ),
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        method=(timed_methods("first-stage") or [None])[0],
        depth=config["first_stage"]["depth"],
        latency=LATENCY,
        code=code("latency_first_stage"),
    message:
        "Time the first stage"
    script:
        "../workflow/scripts/latency_first_stage.py"


rule latency_table:
    input:
        costs=cost_files,
        per_query="<results>/evaluation/per_query.parquet",
    output:
        report(
            "<results>/tables/latency/{model}.csv",
            caption="../workflow/report/latency.rst",
            category="Tables",
            labels={"table": "cost of a list, {model}"},
        ),
        "<results>/tables/latency/{model}-wide.csv",
        "<results>/tables/latency/{model}.md",
        "<results>/tables/latency/{model}.tex",
    log:
        "<logs>/tables/latency/{model}.log",
    conda:
        "../envs/figures.yaml"
    params:
        quality=lambda wildcards: {
            "methods": EXPERIMENT["methods"],
            "model": wildcards.model,
            "measure": config["evaluation"]["main"],
            "name": REPORT_SET,
            "order": REPORT_ORDER,
            "confidence": config["evaluation"]["confidence"],
            "seed": config["seed"],
        },
        latency=LATENCY,
        generative=list(timed_generative()),
        candidates=config["candidates"],
        names=REPORT["names"],
        code=code("latency_table"),
    message:
        "Tabulate what a list costs, {wildcards.model}"
    script:
        "../workflow/scripts/latency_table.py"


rule quality_latency:
    input:
        "<results>/tables/latency/{model}.csv",
    output:
        pdf="<results>/figures/{model}/quality_latency.pdf",
        png=report(
            "<results>/figures/{model}/quality_latency.png",
            caption="../workflow/report/latency.rst",
            category="Figures",
            labels={"figure": "effectiveness and cost", "model": "{model}"},
        ),
    log:
        "<logs>/figures/{model}/quality_latency.log",
    conda:
        "../envs/figures.yaml"
    params:
        measure=config["evaluation"]["main"],
        names=REPORT["names"],
        code=code("figure_quality_latency"),
    message:
        "Draw effectiveness against cost, {wildcards.model}"
    script:
        "../workflow/scripts/figure_quality_latency.py"
