# What `latency.smk` and `benchmarks.smk` time, and with what.
LATENCY = config["latency"]


def all_cores(wildcards):
    """Every core of this machine, so that no job disturbs what is timed.

    Neither a cluster nor `snakemake --report` has a number of cores; the work's own suffice there.
    """
    try:
        return workflow.cores
    except WorkflowError:
        return config["reading"]["threads"]


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
                None if selection == "all" else f"{RESULTS}/profiles/{model}/heads/{selection}.json"
            ),
            "adapter": None if adapter == "none" else f"{RESULTS}/adapters/{model}/{adapter}",
            "fold": fold_of(name),
        }
    return timed


def timed_encoders():
    """Weights of each dense method and cross-encoder."""
    names = [*timed_methods("dense"), *timed_methods("cross-encoder")]
    encoders = {name: METHODS[name]["encoder"] for name in names}
    return {
        name: {
            "path": f"resources/models/{encoder}",
            "max_tokens": config["encoders"][encoder]["max_tokens"],
            "cross": METHODS[name]["kind"] == "cross-encoder",
        }
        for name, encoder in encoders.items()
    }


def timed_generative():
    """Settings of each generative method, and of the other protocols that are timed only."""
    timed = {name: protocol_of(name) for name in timed_methods("generative")}
    known = {*timed, *(settings["protocol"] for settings in timed.values())}
    windows = {key: LATENCY[key] for key in ("window", "stride")}
    for protocol in LATENCY["generative"]:
        if protocol not in known:
            timed[protocol] = {"protocol": protocol} | windows
    return timed


def timed_files(wildcards):
    """Files that the timed methods load."""
    methods = timed_attention(wildcards.model).values()
    adapters = dict.fromkeys(method["adapter"] for method in methods if method["adapter"])
    return [
        *dict.fromkeys(method["heads"] for method in methods if method["heads"]),
        *(f"{folder}/{name}" for folder in adapters for name in ADAPTER_FILES),
        *(
            path
            for encoder in timed_encoders().values()
            for path in part_of(encoder["path"], "headrank.json")
        ),
    ]


def report_index():
    """Index of the report's collection; none if its first stage was made elsewhere."""
    entry = SETS[REPORT_SET]
    collection, split = COLLECTIONS[entry["collection"]], entry["split"]
    imported = split in collection["runs"] or collection["first_stage"] == "own"
    if imported or (collection["first_stage"] == "auto" and own_run(entry["collection"])):
        return []
    return index_files(entry["collection"])


def cost_files(wildcards):
    """Costs of the model's methods and of a first stage that is ours."""
    files = [f"{RESULTS}/latency/{wildcards.model}.csv"]
    if report_index() and timed_methods("first-stage"):
        files.append(f"{RESULTS}/latency/first-stage.csv")
    return files


# Differences of a few percent need more rounds than the others.
BENCHMARKS = {
    "reading-float32": ("reading", ["--dtype", "float32", "--rounds", "9"]),
    "reading-bfloat16": ("reading", ["--dtype", "bfloat16", "--rounds", "9"]),
    "apart-bfloat16": ("apart", ["--dtype", "bfloat16"]),
    "growth-float32": (
        "reading",
        ["--dtype", "float32", "--words", "50", "--growth", "10", "20", "40", "80"],
    ),
    "training-bfloat16": ("training", ["--dtype", "bfloat16"]),
    "memory-float32": ("memory", ["--dtype", "float32"]),
    "memory-bfloat16": ("memory", ["--dtype", "bfloat16"]),
    "prompting": ("prompting", []),
    "methods-float32": ("methods", ["--dtype", "float32"]),
}


def benchmark_parts(wildcards):
    """Results of every benchmark of a model."""
    return [f"{RESULTS}/speed/{wildcards.model}/{part}.csv" for part in BENCHMARKS]
