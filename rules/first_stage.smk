# Is our BM25 the one that others report? `snakemake first_stage_check`
PUBLISHED = [
    (name, split) for name in used_collections() for split in COLLECTIONS[name]["published"]
]


rule first_stage_check:
    input:
        runs=[f"{RESULTS}/retrieval/{name}/{split}.run" for name, split in PUBLISHED],
        qrels=[collection_part(name, "qrels.tsv") for name, _ in PUBLISHED],
        queries=[collection_part(name, "queries.jsonl") for name, _ in PUBLISHED],
    output:
        report(
            "<results>/tables/first_stage.csv",
            caption="../workflow/report/first_stage.rst",
            category="Tables",
            labels={"table": "first stage"},
        ),
        "<results>/tables/first_stage-wide.csv",
        "<results>/tables/first_stage.md",
        "<results>/tables/first_stage.tex",
    log:
        "<logs>/tables/first_stage.log",
    conda:
        "../envs/figures.yaml"
    params:
        published=[COLLECTIONS[name]["published"][split] for name, split in PUBLISHED],
        code=code("first_stage_table"),
    message:
        "Compare the first stage with published numbers"
    script:
        "../workflow/scripts/first_stage_table.py"
