# What a list costs each method, by the path a deployment takes: a truncated model, selected heads.
LATENCY = config["latency"]


def timed_methods(kind):
    """Methods of a kind that the experiment evaluates, fusions by their parts."""
    names = dict.fromkeys(
        part for method in EXPERIMENT["methods"] for part in split_method(method) if part
    )
    return [name for name in names if METHODS[name]["kind"] == kind]


def timed_attention(model):
    """Heads, adapter and fold of each attention method; of several adapters the first seed's."""
    timed = {}
    for name in timed_methods("attention"):
        selection, adapter = METHODS[name]["heads"], adapters_of(name)[0]
        timed[name] = {
            "heads": (
                None if selection == "all" else f"results/profiles/{model}/heads/{selection}.json"
            ),
            "adapter": None if adapter == "none" else f"results/adapters/{model}/{adapter}",
            "fold": fold_of(name),
        }
    return timed


def timed_encoders():
    """Weights of each dense method."""
    encoders = {name: METHODS[name]["encoder"] for name in timed_methods("dense")}
    return {
        name: {
            "path": f"resources/models/{encoder}",
            "max_tokens": config["encoders"][encoder]["max_tokens"],
        }
        for name, encoder in encoders.items()
    }


def timed_files(wildcards):
    """Files that the timed methods load."""
    methods = timed_attention(wildcards.model).values()
    adapters = dict.fromkeys(method["adapter"] for method in methods if method["adapter"])
    return [
        *dict.fromkeys(method["heads"] for method in methods if method["heads"]),
        *(f"{folder}/{name}" for folder in adapters for name in ADAPTER_FILES),
        *(f"{encoder['path']}/headrank.json" for encoder in timed_encoders().values()),
    ]


def report_index():
    """Index of the report's collection; none if its first stage was made elsewhere."""
    entry = SETS[REPORT_SET]
    collection, split = COLLECTIONS[entry["collection"]], entry["split"]
    source = collection["source"]
    own = source["kind"] == "local" and (Path(source["path"]) / "candidates.run").is_file()
    imported = split in collection["runs"] or collection["first_stage"] == "own"
    if imported or (own and collection["first_stage"] == "auto"):
        return []
    return [f"resources/indexes/{entry['collection']}/index.json"]


def cost_files(wildcards):
    """Costs of the model's methods and of a first stage that is ours."""
    files = [f"results/latency/{wildcards.model}.csv"]
    if report_index() and timed_methods("first-stage"):
        files.append("results/latency/first-stage.csv")
    return files


rule latency:
    input:
        unpack(lambda wildcards: set_files(REPORT_SET)),
        timed_files,
        model="resources/models/{model}/headrank.json",
    output:
        "results/latency/{model}.csv",
    log:
        "logs/latency/{model}.log",
    wildcard_constraints:
        model=one_of(EXPERIMENT["models"]),
    conda:
        "../envs/torch-cpu.yaml"
    # The work takes `reading.threads`; the other cores are kept free of jobs.
    threads: workflow.cores or 1
    resources:
        mem_mb=lambda wildcards, attempt: 2 * memory(wildcards, attempt),
        gpu=on_gpu(1),
        gpu_manufacturer=on_gpu("nvidia"),
    params:
        model=weights_of,
        prompt=config["prompt"],
        order=REPORT_ORDER,
        seed=config["seed"],
        working_threads=config["reading"]["threads"],
        attention=lambda wildcards: timed_attention(wildcards.model),
        encoders=timed_encoders(),
        latency=LATENCY,
        code=code("latency"),
    message:
        "Time the methods of {wildcards.model}"
    script:
        "../workflow/scripts/latency.py"


rule latency_first_stage:
    input:
        unpack(lambda wildcards: set_files(REPORT_SET)),
        bm25=report_index(),
    output:
        "results/latency/first-stage.csv",
    log:
        "logs/latency/first-stage.log",
    conda:
        "../envs/ir.yaml"
    threads: workflow.cores or 1
    resources:
        mem_mb=4000,
    params:
        method=(timed_methods("first-stage") or [None])[0],
        depth=config["first_stage"]["depth"],
        latency=LATENCY,
        code=code("latency_first_stage"),
    message:
        "Time the first stage"
    script:
        "../workflow/scripts/latency_first_stage.py"


rule latency_table:
    input:
        costs=cost_files,
        per_query="results/evaluation/per_query.parquet",
    output:
        report(
            "results/tables/latency/{model}.csv",
            caption="../workflow/report/latency.rst",
            category="Tables",
            labels={"table": "cost of a list, {model}"},
        ),
        "results/tables/latency/{model}-wide.csv",
        "results/tables/latency/{model}.md",
        "results/tables/latency/{model}.tex",
    log:
        "logs/tables/latency/{model}.log",
    conda:
        "../envs/figures.yaml"
    params:
        quality=lambda wildcards: {
            "methods": EXPERIMENT["methods"],
            "model": wildcards.model,
            "measure": config["evaluation"]["main"],
            "name": REPORT_SET,
            "order": REPORT_ORDER,
            "confidence": config["evaluation"]["confidence"],
            "seed": config["seed"],
        },
        gpu=lambda wildcards: MODELS[wildcards.model]["device"] == "cuda",
        latency=LATENCY,
        candidates=config["candidates"],
        names=REPORT["names"],
        code=code("latency_table"),
    message:
        "Tabulate what a list costs, {wildcards.model}"
    script:
        "../workflow/scripts/latency_table.py"


rule quality_latency:
    input:
        "results/tables/latency/{model}.csv",
    output:
        pdf="results/figures/{model}/quality_latency.pdf",
        png=report(
            "results/figures/{model}/quality_latency.png",
            caption="../workflow/report/latency.rst",
            category="Figures",
            labels={"figure": "effectiveness and cost", "model": "{model}"},
        ),
    log:
        "logs/figures/{model}/quality_latency.log",
    conda:
        "../envs/figures.yaml"
    params:
        measure=config["evaluation"]["main"],
        names=REPORT["names"],
        code=code("figure_quality_latency"),
    message:
        "Draw effectiveness against cost, {wildcards.model}"
    script:
        "../workflow/scripts/figure_quality_latency.py"
