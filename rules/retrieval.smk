rule index:
    input:
        collection=lambda wildcards: settled(
            wildcards.collection,
            collection_part(wildcards.collection, "corpus.jsonl", "collection.json"),
        ),
    output:
        index_files("{collection}"),
    log:
        "<logs>/indexes/{collection}.log",
    benchmark:
        "<results>/benchmarks/indexes/{collection}.jsonl"
    priority: FIRST
    conda:
        "../envs/ir.yaml"
    resources:
        mem_mb=collection_memory,
        runtime=collection_minutes,
    params:
        k1=config["first_stage"]["k1"],
        b=config["first_stage"]["b"],
        analyzer=config["first_stage"].get("analyzer", "lucene-english"),
        data=lambda wildcards: data_of(wildcards.collection),
        code=code("build_index"),
    message:
        "Index {wildcards.collection} for BM25"
    script:
        "../workflow/scripts/build_index.py"


rule retrieve:
    input:
        unpack(first_stage_source),
        collection=lambda wildcards: settled(
            wildcards.collection,
            collection_part(wildcards.collection, "queries.jsonl", "qrels.tsv", "collection.json"),
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
        mem_mb=collection_memory,
        runtime=collection_minutes,
    params:
        depth=config["first_stage"]["depth"],
        data=lambda wildcards: data_of(wildcards.collection, wildcards.split),
        own=lambda wildcards: own_files(
            f"collections.{wildcards.collection}.runs.{wildcards.split}"
        ),
        code=code("retrieve"),
    message:
        "Retrieve the first stage of {wildcards.collection}, split {wildcards.split}"
    script:
        "../workflow/scripts/retrieve.py"


rule query_set:
    input:
        collection=lambda wildcards: settled(
            SETS[wildcards.set]["collection"],
            collection_part(
                SETS[wildcards.set]["collection"], *COLLECTION_FILES, "collection.json"
            ),
        ),
        run=first_stage_run,
        earlier=earlier_sets,
    output:
        **{kind: path.format(set="{set}") for kind, path in set_files("{set}").items()},
    log:
        "<logs>/sets/{set}.log",
    wildcard_constraints:
        set=one_of(SETS),
    priority: FIRST
    conda:
        "../envs/ir.yaml"
    params:
        options=lambda wildcards: SETS[wildcards.set],
        candidates=config["candidates"],
        seed=config["seed"],
        data=lambda wildcards: data_of(
            SETS[wildcards.set]["collection"], SETS[wildcards.set]["split"]
        ),
        code=code("sample_set"),
    message:
        "Sample the query set {wildcards.set}"
    script:
        "../workflow/scripts/sample_set.py"


rule check_roles:
    input:
        [f"{RESULTS}/sets/{name}/queries.jsonl" for name in sets_of(*ROLES)],
    output:
        "<results>/sets/roles.json",
    log:
        "<logs>/sets/roles.log",
    priority: FIRST
    localrule: True
    conda:
        "../envs/ir.yaml"
    params:
        sets={name: ROLE[name] for name in sets_of(*ROLES)},
        code=code("check_roles"),
    message:
        "Check that no query stands in sets of two roles"
    script:
        "../workflow/scripts/check_roles.py"
