# Generative baselines: a model is asked, list by list, and what it answered is kept on record. The
# runs are folded from the records, as those of attention are from the readings.
rule generate:
    input:
        unpack(lambda wildcards: set_files(wildcards.set)),
        model=model_part("{model}"),
    output:
        "<results>/generation/{set}/{model}/{order}/{method}/{shard}.jsonl",
    log:
        "<logs>/generation/{set}/{model}/{order}/{method}/{shard}.log",
    benchmark:
        "<results>/benchmarks/generation/{set}/{model}/{order}/{method}/{shard}.jsonl"
    wildcard_constraints:
        model=one_of(MODELS),
        method=one_of(methods_of("generative")),
    conda:
        torch_env
    threads: config["reading"]["threads"]
    resources:
        mem_mb=generation_memory,
        runtime=generation_minutes,
        gpu=on_gpu(1),
        gpu_manufacturer=on_gpu("nvidia"),
    params:
        model=weights_of,
        method=lambda wildcards: protocol_of(wildcards.method),
        prompt=LIMITS,
        seed=config["seed"],
        shards=lambda wildcards: SHARDS[wildcards.set],
        checkpoint=(
            f"{RESULTS}/checkpoints/generation/{{set}}/{{model}}/{{order}}/{{method}}/{{shard}}"
        ),
        code=code("generate"),
    message:
        "Generate the answers of {wildcards.model} on {wildcards.set} by {wildcards.method}, order "
        "{wildcards.order}, shard {wildcards.shard}"
    script:
        "../workflow/scripts/generate.py"


rule rank_by_generation:
    input:
        lambda wildcards: generations(
            wildcards.set, wildcards.model, wildcards.order, wildcards.method
        ),
    output:
        "<results>/runs/{set}/{model}/none/{order}/{method}.run",
    log:
        "<logs>/runs/{set}/{model}/none/{order}/{method}.log",
    wildcard_constraints:
        method=one_of(methods_of("generative")),
    conda:
        "../envs/ir.yaml"
    params:
        code=code("rank_by_generation"),
    message:
        "Rank {wildcards.set} by {wildcards.method}, {wildcards.model}, order {wildcards.order}"
    script:
        "../workflow/scripts/rank_by_generation.py"


rule formatting_table:
    input:
        lambda wildcards: [path for *_, path in generated_cells(wildcards.model)],
    output:
        report(
            "<results>/tables/formatting/{model}.csv",
            caption="../workflow/report/formatting.rst",
            category="Tables",
            labels={"table": "form of generated answers, {model}"},
        ),
        "<results>/tables/formatting/{model}-wide.csv",
        "<results>/tables/formatting/{model}.md",
        "<results>/tables/formatting/{model}.tex",
    log:
        "<logs>/tables/formatting/{model}.log",
    conda:
        "../envs/ir.yaml"
    params:
        cells=lambda wildcards: [cell for *cell, _ in generated_cells(wildcards.model)],
        sets=EXPERIMENT["sets"],
        names=REPORT["names"],
        code=code("formatting_table"),
    message:
        "Tabulate the form of the answers of {wildcards.model}"
    script:
        "../workflow/scripts/formatting_table.py"
