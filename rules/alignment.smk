# An adapter is named RECIPE-SEED: the recipe of the config, trained with one seed.
rule align:
    input:
        unpack(training_input),
        validation=lambda wildcards: [*set_files(recipe_of(wildcards)["validation"]).values()],
        pairs=mined_pairs,
    output:
        card="<results>/adapters/{model}/{adapter}/headrank.json",
        heads="<results>/adapters/{model}/{adapter}/heads.json",
        weights="<results>/adapters/{model}/{adapter}/adapter_model.safetensors",
        config="<results>/adapters/{model}/{adapter}/adapter_config.json",
        training="<results>/adapters/{model}/{adapter}/training.csv",
        validation="<results>/adapters/{model}/{adapter}/validation.csv",
    log:
        "<logs>/adapters/{model}/{adapter}.log",
    benchmark:
        "<results>/benchmarks/adapters/{model}/{adapter}.jsonl"
    wildcard_constraints:
        adapter=one_of(ADAPTERS),
    priority: FIRST
    conda:
        torch_env
    threads: config["reading"]["threads"]
    resources:
        mem_mb=lambda wildcards, attempt: 2 * memory(wildcards, attempt),
        runtime=lambda wildcards, attempt: 3 * minutes(wildcards, attempt),
        gpu=on_gpu(1),
        gpu_manufacturer=on_gpu("nvidia"),
    params:
        model=weights_of,
        prompt=lambda wildcards: prompt_of(recipe_of(wildcards)),
        documents=lambda wildcards: recipe_of(wildcards)["documents"],
        queries=lambda wildcards: recipe_of(wildcards)["queries"],
        options=lambda wildcards: recipe_of(wildcards)["options"],
        seed=lambda wildcards: int(wildcards.adapter.rpartition("-")[2]),
        checkpoint=f"{RESULTS}/checkpoints/{{model}}/{{adapter}}",
        code=code("align_heads"),
    message:
        "Align the heads of {wildcards.model}: {wildcards.adapter}"
    script:
        "../workflow/scripts/align_heads.py"
