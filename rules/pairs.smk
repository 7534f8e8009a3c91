rule mine_pairs:
    input:
        unpack(training_input),
    output:
        pairs="<results>/pairs/{model}/{recipe}/pairs.csv",
        summary="<results>/pairs/{model}/{recipe}/summary.csv",
    log:
        "<logs>/pairs/{model}/{recipe}.log",
    benchmark:
        "<results>/benchmarks/pairs/{model}/{recipe}.jsonl"
    wildcard_constraints:
        recipe=one_of(dict.fromkeys(MINED_AS.values())),
    priority: FIRST
    conda:
        torch_env
    threads: config["reading"]["threads"]
    resources:
        mem_mb=memory,
        runtime=minutes,
        gpu=on_gpu(1),
        gpu_manufacturer=on_gpu("nvidia"),
    params:
        model=weights_of,
        prompt=lambda wildcards: prompt_of(recipe_of(wildcards)),
        documents=lambda wildcards: recipe_of(wildcards)["documents"],
        queries=lambda wildcards: recipe_of(wildcards)["queries"],
        options=lambda wildcards: recipe_of(wildcards)["pairs"],
        seed=config["seed"],
        code=code("mine_pairs"),
    message:
        "Mine preference pairs of {wildcards.model} for {wildcards.recipe}"
    script:
        "../workflow/scripts/mine_pairs.py"
