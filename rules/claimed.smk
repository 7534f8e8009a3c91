# What the ledger of claims takes from the experiment.
ALIGNED = [name for name in EXPERIMENT["methods"] if METHODS.get(name, {}).get("adapter")]
CLAIMED = REPORT["claims"] or next(iter(ALIGNED), None)


def rivals():
    """Baselines that the claimed method is set against; neither controls nor its own criterion."""
    found = {}
    own = config["selections"].get(METHODS[CLAIMED]["heads"], {}).get("criterion")
    for name in EXPERIMENT["methods"]:
        method = METHODS.get(name, {})
        if method.get("kind") == "generative":
            found[name] = "generative"
        elif method.get("kind") == "attention" and name not in REPORT["controls"]:
            heads = config["selections"].get(method["heads"], {})
            same = method["heads"] == METHODS[CLAIMED]["heads"] or heads.get("criterion", "") == own
            if "adapter" not in method and not same:
                found[name] = "decoding-free"
    return found


def dataset_of(name):
    """The ir_datasets id of a set that holds all judged queries of one; else nothing."""
    entry = SETS[name]
    source = COLLECTIONS[entry["collection"]]["source"]
    whole = (entry["pool"], entry["take"], entry["skip"]) == ("judged", None, 0)
    if not whole or source["kind"] != "ir_datasets":
        return ""
    return source.get("splits", {}).get(entry["split"], source)["id"]


def claim_setup():
    """The arguments of headrank.claims.measures.Setup."""
    sources = {name: MODELS[name]["source"] for name in EXPERIMENT["models"]}
    return {
        "method": CLAIMED,
        "rivals": rivals(),
        "beside": [
            name
            for name in EXPERIMENT["methods"]
            if METHODS.get(name, {}).get("kind") in ("first-stage", "dense", "cross-encoder")
        ],
        "models": {name: source.get("repository", "") for name, source in sources.items()},
        "sets": {name: dataset_of(name) for name in EXPERIMENT["sets"]},
        "report_set": REPORT_SET,
        "order": REPORT_ORDER,
        "candidates": config["candidates"],
        "confidence": config["evaluation"]["confidence"],
        "names": REPORT["names"],
        "groups": REPORT["groups"],
    }


def claim_cards():
    """Cards of the claimed method's adapters, by model."""
    return {
        model: [
            f"{RESULTS}/adapters/{model}/{adapter}/headrank.json"
            for adapter in adapters_of(CLAIMED)
        ]
        for model in EXPERIMENT["models"]
    }


def claim_heads():
    """The heads that the claimed method reads, by model: those of its first seed's adapter."""
    adapter = adapters_of(CLAIMED)[0]
    return {
        model: f"{RESULTS}/adapters/{model}/{adapter}/heads.json" for model in EXPERIMENT["models"]
    }


def claim_inputs(wildcards):
    """Everything that the ledger is computed from."""
    if CLAIMED is None:
        raise WorkflowError(
            "experiment.methods names no method with an adapter, which the paper's claims are "
            "about; add one"
        )
    followed = followed_models()
    return {
        "per_query": f"{RESULTS}/evaluation/per_query.parquet",
        "middle": [f"{RESULTS}/studies/{model}/middle_zone.csv" for model in followed],
        "formatting": [f"{RESULTS}/tables/formatting/{model}.csv" for model in generating_models()],
        "cards": [path for paths in claim_cards().values() for path in paths],
        "heads": list(claim_heads().values()),
    }


def followed_models():
    """Models whose middle zone is followed."""
    return EXPERIMENT["models"] if REPORT["panels"] else []
