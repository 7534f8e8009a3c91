from headrank.irmetadata import metadata_path

RUNS = [run_of(cell) for cell in CELLS]
METADATA = [metadata_path(run) for run in RUNS]
CELLS_OF = {name: [cell for cell in CELLS if cell[0] == name] for name in EXPERIMENT["sets"]}
CARDS = {
    "models": [f"resources/models/{name}/headrank.json" for name in used_models()],
    "collections": [f"resources/collections/{name}/collection.json" for name in used_collections()],
}


# Beside the runs, not in them: a run's bytes hold no time and no machine. All sets have the same
# cells. One job for all would make Snakemake compare each of its outputs with each of its inputs.
rule describe_runs:
    input:
        **CARDS,
        runs=lambda wildcards: [run_of(cell) for cell in CELLS_OF[wildcards.set]],
        queries="results/sets/{set}/queries.jsonl",
        made_from=lambda wildcards: list(
            dict.fromkeys(path for cell in CELLS_OF[wildcards.set] for path in made_from(cell))
        ),
    output:
        [metadata_path(run_of(("{set}", *cell))) for _, *cell in CELLS_OF[EXPERIMENT["sets"][0]]],
    log:
        "logs/describe_runs/{set}.log",
    wildcard_constraints:
        set=one_of(EXPERIMENT["sets"]),
    localrule: True
    conda:
        "../envs/ir.yaml"
    params:
        config=config,
        cells=lambda wildcards: CELLS_OF[wildcards.set],
        made_from=lambda wildcards: [made_from(cell) for cell in CELLS_OF[wildcards.set]],
        command=call_of(),
        code=code("describe_runs"),
    message:
        "Describe each run on {wildcards.set} beside it"
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
        metadata=METADATA,
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
        queries=[f"results/sets/{cell[0]}/queries.jsonl" for cell in CELLS],
        code=code("write_manifest"),
    message:
        "Note what the results were made with"
    script:
        "../workflow/scripts/write_manifest.py"
