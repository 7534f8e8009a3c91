rule fetch_archive:
    output:
        "resources/archives/{file}",
    log:
        "<logs>/archives/{file}.log",
    wildcard_constraints:
        file=one_of(experiment.pins),
    localrule: True
    conda:
        "../envs/fetch.yaml"
    params:
        requirement=lambda wildcards: experiment.pins[wildcards.file]["requirement"],
        sha256=lambda wildcards: experiment.pins[wildcards.file]["sha256"],
    message:
        "Fetch {wildcards.file}"
    script:
        "../workflow/scripts/fetch_archive.py"


rule model:
    input:
        origins=experiment.model_origin,
    output:
        target=made("resources/models/{model}", "headrank.json"),
    log:
        "<logs>/models/{model}.log",
    benchmark:
        "<results>/benchmarks/models/{model}.jsonl"
    wildcard_constraints:
        model=one_of(experiment.weights),
    priority: FIRST
    conda:
        "../envs/torch-cpu.yaml"
    resources:
        mem_mb=sizes.memory,
        runtime=sizes.minutes,
    params:
        source=lambda wildcards: experiment.weights[wildcards.model]["source"],
        own=own.of_model,
        form=experiment.format_of,
        # Code decides the weights only where they are dequantised. Safetensors are copied as they
        # are, and a change of code must not download gigabytes again.
        code=lambda wildcards: (
            code("prepare_model")
            if experiment.weights[wildcards.model].get("format") == "gguf"
            else None
        ),
    message:
        "Prepare the weights of {wildcards.model}"
    script:
        "../workflow/scripts/prepare_model.py"


rule collection:
    input:
        origins=experiment.collection_origin,
    output:
        # Some have candidates.run or excluded.tsv besides.
        target=made(
            "resources/collections/{collection}",
            "corpus.jsonl",
            "queries.jsonl",
            "qrels.tsv",
            "collection.json",
        ),
    log:
        "<logs>/collections/{collection}.log",
    wildcard_constraints:
        collection=one_of(experiment.collections),
    conda:
        "../envs/fetch.yaml"
    resources:
        mem_mb=sizes.collection_memory,
        runtime=sizes.collection_minutes,
    params:
        source=lambda wildcards: experiment.collections[wildcards.collection]["source"],
        own=own.of_collection,
        code=code("build_collection"),
    message:
        "Build the collection {wildcards.collection}"
    script:
        "../workflow/scripts/build_collection.py"
