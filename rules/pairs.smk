def recipe_of(wildcards):
    """Alignment recipe of a wildcard `recipe`, or of an adapter `RECIPE-SEED`."""
    name = getattr(wildcards, "recipe", None) or wildcards.adapter.rpartition("-")[0]
    return RECIPES[name]


def training_input(wildcards):
    """Sets, model and heads that a recipe trains with."""
    recipe = recipe_of(wildcards)
    files = [set_files(name) for name in recipe["training"]]
    return {
        "queries": [entry["queries"] for entry in files],
        "documents": [entry["documents"] for entry in files],
        "candidates": [entry["candidates"] for entry in files],
        "qrels": [entry["qrels"] for entry in files],
        "roles": "results/sets/roles.json",
        "model": f"resources/models/{wildcards.model}/headrank.json",
        "heads": f"results/profiles/{wildcards.model}/heads/{recipe['selection']}.json",
    }


rule mine_pairs:
    input:
        unpack(training_input),
    output:
        pairs="results/pairs/{model}/{recipe}/pairs.csv",
        summary="results/pairs/{model}/{recipe}/summary.csv",
    log:
        "logs/pairs/{model}/{recipe}.log",
    benchmark:
        "results/benchmarks/pairs/{model}/{recipe}.jsonl"
    wildcard_constraints:
        recipe=one_of(RECIPES),
    conda:
        "../envs/torch-cpu.yaml"
    threads: config["reading"]["threads"]
    resources:
        mem_mb=memory,
        gpu=on_gpu(1),
        gpu_manufacturer=on_gpu("nvidia"),
    params:
        model=weights_of,
        prompt=lambda wildcards: prompt_of(recipe_of(wildcards)),
        documents=lambda wildcards: recipe_of(wildcards)["documents"],
        options=lambda wildcards: recipe_of(wildcards)["pairs"],
        seed=config["seed"],
        code=code("mine_pairs"),
    message:
        "Mine preference pairs of {wildcards.model} for {wildcards.recipe}"
    script:
        "../workflow/scripts/mine_pairs.py"
