rule index:
    input:
        collection=lambda wildcards: settled(
            wildcards.collection,
            experiment.collection_part(wildcards.collection, "corpus.jsonl", "collection.json"),
        ),
    output:
        target=experiment.index_files("{collection}"),
    log:
        "<logs>/indexes/{collection}.log",
    benchmark:
        "<results>/benchmarks/indexes/{collection}.jsonl"
    priority: FIRST
    conda:
        "../envs/ir.yaml"
    resources:
        mem_mb=sizes.collection_memory,
        runtime=sizes.collection_minutes,
    params:
        k1=config["first_stage"]["k1"],
        b=config["first_stage"]["b"],
        analyzer=config["first_stage"].get("analyzer", "lucene-english"),
        data=lambda wildcards: own.data_of(wildcards.collection),
        code=code("build_index"),
    message:
        "Index {wildcards.collection} for BM25"
    script:
        "../workflow/scripts/build_index.py"


rule retrieve:
    input:
        unpack(experiment.first_stage_source),
        collection=lambda wildcards: settled(
            wildcards.collection,
            experiment.collection_part(
                wildcards.collection, "queries.jsonl", "qrels.tsv", "collection.json"
            ),
        ),
    output:
        "<results>/retrieval/{collection}/{split}.run",
    log:
        "<logs>/retrieval/{collection}/{split}.log",
    benchmark:
        "<results>/benchmarks/retrieval/{collection}/{split}.jsonl"
    priority: FIRST
    conda:
        "../envs/ir.yaml"
    resources:
        mem_mb=sizes.collection_memory,
        runtime=sizes.collection_minutes,
    params:
        depth=config["first_stage"]["depth"],
        data=lambda wildcards: own.data_of(wildcards.collection, wildcards.split),
        own=own.of_run,
        code=code("retrieve"),
    message:
        "Retrieve the first stage of {wildcards.collection}, split {wildcards.split}"
    script:
        "../workflow/scripts/retrieve.py"
