import sys
import time
from copy import deepcopy

from headrank.irmetadata import metadata_path

STARTED = time.time()
# The config as it decides results. Captions of the report see the one of Snakemake alone.
CONFIG = deepcopy(config)
config["told"] = {"first_stage": told_first_stage(CONFIG, own_run)}

RUNS = [run_of(cell) for cell in CELLS]
METADATA = [metadata_path(run) for run in RUNS]
CELLS_OF = {name: [cell for cell in CELLS if cell[0] == name] for name in EXPERIMENT["sets"]}
CARDS = {
    "models": [path for name in used_models() for path in model_part(name)],
    "collections": [
        path for name in used_collections() for path in collection_part(name, "collection.json")
    ],
}


# Beside the runs, not in them: a run's bytes hold no time and no machine. All sets have the same
# cells. One job for all would make Snakemake compare each of its outputs with each of its inputs.
rule describe_runs:
    input:
        **CARDS,
        runs=lambda wildcards: [run_of(cell) for cell in CELLS_OF[wildcards.set]],
        queries="<results>/sets/{set}/queries.jsonl",
        made_from=lambda wildcards: list(
            dict.fromkeys(path for cell in CELLS_OF[wildcards.set] for path in made_from(cell))
        ),
    output:
        [metadata_path(run_of(("{set}", *cell))) for _, *cell in CELLS_OF[EXPERIMENT["sets"][0]]],
    log:
        "<logs>/describe_runs/{set}.log",
    wildcard_constraints:
        set=one_of(EXPERIMENT["sets"]),
    localrule: True
    conda:
        "../envs/ir.yaml"
    params:
        config=CONFIG,
        cells=lambda wildcards: CELLS_OF[wildcards.set],
        runs=lambda wildcards: [run_of(cell) for cell in CELLS_OF[wildcards.set]],
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
                f"{RESULTS}/adapters/{model}/{adapter}/headrank.json"
                for _, model, adapter, _, _ in CELLS
                if adapter not in ("-", "none")
            }
        ),
        runs=RUNS,
        metadata=METADATA,
        results=[*rules.evaluation.input, *products()],
        # What it tells of steps on the way: an object store brings what is asked for alone.
        sets=[path for name in sets_of(*ROLES) for path in set_files(name).values()],
        made_from=list(dict.fromkeys(path for cell in CELLS for path in made_from(cell))),
    output:
        "<results>/manifest.json",
    log:
        "<logs>/manifest.log",
    localrule: True
    conda:
        "../envs/ir.yaml"
    params:
        config=CONFIG,
        queries=[f"{RESULTS}/sets/{cell[0]}/queries.jsonl" for cell in CELLS],
        own=OWN,
        partial=STORED,
        code=code("write_manifest"),
    message:
        "Note what the results were made with"
    script:
        "../workflow/scripts/write_manifest.py"


# Every table and figure in one file that needs no other: `snakemake report`. Snakemake's language
# has a word `report`, so the rule is named like this.
rule:
    name:
        "report"
    input:
        report_inputs,
        manifest="<results>/manifest.json",
    output:
        "<results>/report.html",
    log:
        "<logs>/report.log",
    localrule: True
    conda:
        "../envs/ir.yaml"
    params:
        python=sys.executable,
        options=options_of_this_call(),
    message:
        "Write the report"
    script:
        "../workflow/scripts/write_report.py"
