rule manifest:
    input:
        models=[f"resources/models/{name}/headrank.json" for name in used_models()],
        collections=[f"resources/collections/{name}/collection.json" for name in used_collections()],
        adapters=sorted(
            {
                f"results/adapters/{model}/{adapter}/headrank.json"
                for _, model, adapter, _, _ in CELLS
                if adapter not in ("-", "none")
            }
        ),
        results=[*rules.evaluation.input, *[run_of(cell) for cell in CELLS], *products()],
    output:
        "results/manifest.json",
    log:
        "logs/manifest.log",
    localrule: True
    conda:
        "../envs/ir.yaml"
    params:
        config=config,
    message:
        "Note what the results were made with"
    script:
        "../workflow/scripts/write_manifest.py"
