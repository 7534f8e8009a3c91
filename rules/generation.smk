# Generative baselines: a model is asked, list by list, and what it answered is kept on record. The
# runs are folded from the records, as those of attention are from the readings.
rule generate:
    input:
        lists=experiment.files_of_set,
        model=experiment.model_part("{model}"),
    output:
        "<results>/generation/{set}/{model}/{order}/{method}/{shard}.jsonl",
    log:
        "<logs>/generation/{set}/{model}/{order}/{method}/{shard}.log",
    benchmark:
        "<results>/benchmarks/generation/{set}/{model}/{order}/{method}/{shard}.jsonl"
    wildcard_constraints:
        model=one_of(experiment.models),
        method=one_of(experiment.methods_of("generative")),
    conda:
        sizes.torch_env
    threads: config["reading"]["threads"]
    resources:
        mem_mb=sizes.generation_memory,
        runtime=sizes.generation_minutes,
        gpu=sizes.on_gpu(1),
        gpu_manufacturer=sizes.on_gpu("nvidia"),
    params:
        weights=experiment.weights_of,
        method=lambda wildcards: experiment.protocol_of(wildcards.method),
        prompt=experiment.generation_limits(),
        seed=config["seed"],
        shards=lambda wildcards: experiment.shards[wildcards.set],
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
        records=lambda wildcards: experiment.generations(
            wildcards.set, wildcards.model, wildcards.order, wildcards.method
        ),
    output:
        "<results>/runs/{set}/{model}/none/{order}/{method}.run",
    log:
        "<logs>/runs/{set}/{model}/none/{order}/{method}.log",
    wildcard_constraints:
        method=one_of(experiment.methods_of("generative")),
    conda:
        "../envs/ir.yaml"
    params:
        code=code("rank_by_generation"),
    message:
        "Rank {wildcards.set} by {wildcards.method}, {wildcards.model}, order {wildcards.order}"
    script:
        "../workflow/scripts/rank_by_generation.py"
