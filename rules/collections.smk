rule collection:
    input:
        collection_origin,
    output:
        # Some have candidates.run or excluded.tsv besides.
        **made(
            "resources/collections/{collection}",
            corpus="corpus.jsonl",
            queries="queries.jsonl",
            qrels="qrels.tsv",
            description="collection.json",
        ),
    log:
        "<logs>/collections/{collection}.log",
    wildcard_constraints:
        collection=one_of(COLLECTIONS),
    conda:
        "../envs/fetch.yaml"
    resources:
        mem_mb=collection_memory,
        runtime=collection_minutes,
    params:
        source=lambda wildcards: COLLECTIONS[wildcards.collection]["source"],
        own=lambda wildcards: own_files(f"collections.{wildcards.collection}.source.path"),
        code=code("build_collection"),
    message:
        "Build the collection {wildcards.collection}"
    script:
        "../workflow/scripts/build_collection.py"
