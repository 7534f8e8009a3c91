rule mine_pairs:
    input:
        unpack(experiment.training_input),
        # It says that roles are apart, not what is trained on: more queries elsewhere train nothing.
        roles=ancient("<results>/sets/roles.json"),
    output:
        pairs="<results>/pairs/{model}/{recipe}/pairs.csv",
        summary="<results>/pairs/{model}/{recipe}/summary.csv",
    log:
        "<logs>/pairs/{model}/{recipe}.log",
    benchmark:
        "<results>/benchmarks/pairs/{model}/{recipe}.jsonl"
    wildcard_constraints:
        recipe=one_of(dict.fromkeys(experiment.mined_as.values())),
    priority: FIRST
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
        prompt=experiment.training_prompt,
        documents=lambda wildcards: experiment.recipe_of(wildcards)["documents"],
        queries=lambda wildcards: experiment.recipe_of(wildcards)["queries"],
        options=lambda wildcards: experiment.recipe_of(wildcards)["pairs"],
        seed=config["seed"],
        checkpoint=f"{RESULTS}/checkpoints/pairs/{{model}}/{{recipe}}",
        code=code("mine_pairs"),
    message:
        "Mine preference pairs of {wildcards.model} for {wildcards.recipe}"
    script:
        "../workflow/scripts/mine_pairs.py"


# An adapter is named RECIPE-SEED: the recipe of the config, trained with one seed.
rule align:
    input:
        unpack(experiment.training_input),
        roles=ancient("<results>/sets/roles.json"),
        validation=experiment.validation_files,
        pairs=experiment.mined_pairs,
    output:
        target=[
            "<results>/adapters/{model}/{adapter}/headrank.json",
            "<results>/adapters/{model}/{adapter}/heads.json",
            "<results>/adapters/{model}/{adapter}/adapter_model.safetensors",
            "<results>/adapters/{model}/{adapter}/adapter_config.json",
            "<results>/adapters/{model}/{adapter}/training.csv",
            "<results>/adapters/{model}/{adapter}/validation.csv",
        ],
    log:
        "<logs>/adapters/{model}/{adapter}.log",
    benchmark:
        "<results>/benchmarks/adapters/{model}/{adapter}.jsonl"
    wildcard_constraints:
        adapter=one_of(experiment.adapters),
    priority: FIRST
    conda:
        sizes.torch_env
    threads: config["reading"]["threads"]
    resources:
        mem_mb=sizes.double_memory,
        runtime=sizes.long_minutes,
        gpu=sizes.on_gpu(1),
        gpu_manufacturer=sizes.on_gpu("nvidia"),
    params:
        weights=experiment.weights_of,
        prompt=experiment.training_prompt,
        documents=lambda wildcards: experiment.recipe_of(wildcards)["documents"],
        queries=lambda wildcards: experiment.recipe_of(wildcards)["queries"],
        options=lambda wildcards: experiment.recipe_of(wildcards)["options"],
        seed=lambda wildcards: int(wildcards.adapter.rpartition("-")[2]),
        checkpoint=f"{RESULTS}/checkpoints/{{model}}/{{adapter}}",
        code=code("align_heads"),
    message:
        "Align the heads of {wildcards.model}: {wildcards.adapter}"
    script:
        "../workflow/scripts/align_heads.py"
