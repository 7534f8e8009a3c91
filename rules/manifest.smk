from headrank.irmetadata import metadata_path

RUNS = [run_of(cell) for cell in CELLS]
ASKED = [f"results/sets/{cell[0]}/queries.jsonl" for cell in CELLS]
MADE_FROM = [made_from(cell) for cell in CELLS]
CARDS = {
    "models": [f"resources/models/{name}/headrank.json" for name in used_models()],
    "collections": [f"resources/collections/{name}/collection.json" for name in used_collections()],
}


# Beside the runs, not in them: a run's bytes hold no time and no machine.
rule describe_runs:
    input:
        **CARDS,
        runs=RUNS,
        queries=list(dict.fromkeys(ASKED)),
        made_from=list(dict.fromkeys(path for paths in MADE_FROM for path in paths)),
    output:
        [metadata_path(run) for run in RUNS],
    log:
        "logs/describe_runs.log",
    localrule: True
    conda:
        "../envs/ir.yaml"
    params:
        config=config,
        cells=CELLS,
        queries=ASKED,
        made_from=MADE_FROM,
        command=call_of(),
        code=code("describe_runs"),
    message:
        "Describe each run beside it"
    script:
        "../workflow/scripts/describe_runs.py"


rule manifest:
    input:
        **CARDS,
        adapters=sorted(
            {
                f"results/adapters/{model}/{adapter}/headrank.json"
                for _, model, adapter, _, _ in CELLS
                if adapter not in ("-", "none")
            }
        ),
        runs=RUNS,
        metadata=rules.describe_runs.output,
        results=[*rules.evaluation.input, *products()],
    output:
        "results/manifest.json",
    log:
        "logs/manifest.log",
    localrule: True
    conda:
        "../envs/ir.yaml"
    params:
        config=config,
        queries=ASKED,
        code=code("write_manifest"),
    message:
        "Note what the results were made with"
    script:
        "../workflow/scripts/write_manifest.py"
