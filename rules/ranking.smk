rule rank_by_attention:
    input:
        readings=lambda wildcards: experiment.readings(
            [wildcards.set],
            wildcards.model,
            wildcards.adapter,
            wildcards.order,
            layout=experiment.layout_of(wildcards.method),
        ),
        heads=experiment.ranking_heads,
    output:
        "<results>/runs/{set}/{model}/{adapter}/{order}/{method}.run",
    log:
        "<logs>/runs/{set}/{model}/{adapter}/{order}/{method}.log",
    wildcard_constraints:
        method=one_of(experiment.folded_methods()),
    conda:
        "../envs/ir.yaml"
    params:
        fold=lambda wildcards: experiment.fold_of(wildcards.method),
        code=code("rank_by_attention"),
    message:
        "Rank {wildcards.set} by {wildcards.method}, {wildcards.model}, order {wildcards.order}"
    script:
        "../workflow/scripts/rank_by_attention.py"


# The path of a deployment: a prefill of its own that stops at the deepest selected head.
rule rank_truncated:
    input:
        lists=experiment.files_of_set,
        heads=experiment.ranking_heads,
        adapter=experiment.adapter_files,
        model=experiment.model_part("{model}"),
    output:
        run="<results>/parts/{set}/{model}/{adapter}/{order}/{method}/{shard}.run",
        reader="<results>/parts/{set}/{model}/{adapter}/{order}/{method}/{shard}.reader.json",
    log:
        "<logs>/parts/{set}/{model}/{adapter}/{order}/{method}/{shard}.log",
    benchmark:
        "<results>/benchmarks/parts/{set}/{model}/{adapter}/{order}/{method}/{shard}.jsonl"
    wildcard_constraints:
        method=one_of(experiment.truncated_methods()),
        order=one_of([*config["orders"], *APART]),
    conda:
        sizes.torch_env
    threads: config["reading"]["threads"]
    resources:
        mem_mb=sizes.memory,
        runtime=sizes.minutes,
        gpu=sizes.on_gpu(1),
        gpu_manufacturer=sizes.on_gpu("nvidia"),
    params:
        weights=experiment.weights_of,
        prompt=experiment.prompt_of,
        fold=lambda wildcards: experiment.fold_of(wildcards.method),
        seed=config["seed"],
        shards=lambda wildcards: experiment.shards[wildcards.set],
        encode_once=config["reading"]["encode_once"],
        batch_tokens=config["reading"]["batch_tokens"],
        checkpoint=(
            f"{RESULTS}/checkpoints/parts/{{set}}/{{model}}/{{adapter}}/{{order}}/{{method}}/{{shard}}"
        ),
        code=code("rank_truncated"),
    message:
        "Rank {wildcards.set} by {wildcards.method}, {wildcards.model} cut, order {wildcards.order}, "
        "shard {wildcards.shard}"
    script:
        "../workflow/scripts/rank_truncated.py"


rule join_run:
    input:
        parts=experiment.parts_of,
    output:
        "<results>/runs/{cell}/{method}.run",
    log:
        "<logs>/runs/{cell}/{method}.log",
    wildcard_constraints:
        cell="[^/]+(/[^/]+/[^/]+/[^/]+)?",
        method=one_of([*experiment.truncated_methods(), *experiment.methods_of("cross-encoder")]),
    localrule: True
    conda:
        "../envs/ir.yaml"
    params:
        code=code("join_run"),
    message:
        "Join the shards of {wildcards.method} on {wildcards.cell}"
    script:
        "../workflow/scripts/join_run.py"


rule rank_by_first_stage:
    input:
        candidates="<results>/sets/{set}/candidates.run",
    output:
        "<results>/runs/{set}/{method}.run",
    log:
        "<logs>/runs/{set}/{method}.log",
    wildcard_constraints:
        method=one_of(experiment.methods_of("first-stage")),
    conda:
        "../envs/ir.yaml"
    params:
        code=code("rank_by_first_stage"),
    message:
        "Keep the first stage of {wildcards.set} as {wildcards.method}"
    script:
        "../workflow/scripts/rank_by_first_stage.py"


rule rank_at_random:
    input:
        candidates="<results>/sets/{set}/candidates.run",
    output:
        "<results>/runs/{set}/{method}.run",
    log:
        "<logs>/runs/{set}/{method}.log",
    wildcard_constraints:
        method=one_of(experiment.methods_of("random")),
    conda:
        "../envs/ir.yaml"
    params:
        seed=config["seed"],
        code=code("rank_at_random"),
    message:
        "Rank {wildcards.set} at random"
    script:
        "../workflow/scripts/rank_at_random.py"


rule rank_by_encoder:
    input:
        lists=experiment.files_of_set,
        model=experiment.encoder_part,
    output:
        run="<results>/runs/{set}/{method}.run",
        reader="<results>/runs/{set}/{method}.reader.json",
    log:
        "<logs>/runs/{set}/{method}.log",
    benchmark:
        "<results>/benchmarks/runs/{set}/{method}.jsonl"
    wildcard_constraints:
        method=one_of(experiment.methods_of("dense")),
    conda:
        sizes.encoder_env
    resources:
        mem_mb=sizes.encoder_memory,
        runtime=sizes.encoder_minutes,
        gpu=sizes.on_encoder_gpu(1),
        gpu_manufacturer=sizes.on_encoder_gpu("nvidia"),
    params:
        encoder=experiment.encoder_of,
        code=code("rank_by_encoder"),
    message:
        "Rank {wildcards.set} by the encoder {wildcards.method}"
    script:
        "../workflow/scripts/rank_by_encoder.py"


rule rank_by_cross_encoder:
    input:
        lists=experiment.files_of_set,
        model=experiment.encoder_part,
    output:
        run="<results>/parts/{set}/{method}/{shard}.run",
        reader="<results>/parts/{set}/{method}/{shard}.reader.json",
    log:
        "<logs>/parts/{set}/{method}/{shard}.log",
    benchmark:
        "<results>/benchmarks/parts/{set}/{method}/{shard}.jsonl"
    wildcard_constraints:
        method=one_of(experiment.methods_of("cross-encoder")),
    conda:
        sizes.encoder_env
    resources:
        mem_mb=sizes.encoder_memory,
        runtime=sizes.encoder_minutes,
        gpu=sizes.on_encoder_gpu(1),
        gpu_manufacturer=sizes.on_encoder_gpu("nvidia"),
    params:
        encoder=experiment.encoder_of,
        shards=lambda wildcards: experiment.shards[wildcards.set],
        checkpoint=f"{RESULTS}/checkpoints/parts/{{set}}/{{method}}/{{shard}}",
        code=code("rank_by_cross_encoder"),
    message:
        "Rank {wildcards.set} by the cross-encoder {wildcards.method}, shard {wildcards.shard}"
    script:
        "../workflow/scripts/rank_by_cross_encoder.py"


rule fuse:
    input:
        run="<results>/runs/{cell}/{method}.run",
        first_stage=experiment.candidates_of,
    output:
        "<results>/runs/{cell}/{method}+{first}.run",
    log:
        "<logs>/runs/{cell}/{method}+{first}.log",
    wildcard_constraints:
        cell="[^/]+(/[^/]+/[^/]+/[^/]+)?",
        first=one_of(experiment.methods_of("first-stage")),
    conda:
        "../envs/ir.yaml"
    params:
        code=code("fuse"),
    message:
        "Fuse {wildcards.method} with {wildcards.first} on {wildcards.cell}"
    script:
        "../workflow/scripts/fuse.py"
