# What the report's tables and figures are made from.
REPORT = config["report"]
REPORT_SET = REPORT["set"] or EXPERIMENT["sets"][0]
REPORT_ORDER = config["evaluation"]["orders"][0]


def panel_methods(aligned=True):
    """Heads and fold of the methods that the figures of heads compare."""
    return {
        name: {"heads": METHODS[name]["heads"], "fold": fold_of(name)}
        for name in REPORT["panels"]
        if aligned or "adapter" not in METHODS[name]
    }


def panel_readings(model):
    """Readings of each panel's method on the report's set; of an aligned one, its first seed's."""
    return {
        name: readings([REPORT_SET], model, adapters_of(name)[0], REPORT_ORDER)
        for name in REPORT["panels"]
    }


def middle_cells(model):
    """Runs of the report's set and order whose middle zone is followed: method, path."""
    return [
        (method, run_of((name, own, adapter, order, method)))
        for name, own, adapter, order, method in CELLS
        if (name, own, order) == (REPORT_SET, model, REPORT_ORDER) and "+" not in method
    ]


def study_options():
    """What the studies measure."""
    return {
        "measure": config["evaluation"]["main"],
        "relevance_level": COLLECTIONS[SETS[REPORT_SET]["collection"]]["relevance_level"],
        "confidence": config["evaluation"]["confidence"],
        "seed": config["seed"],
    }


def heads_of(methods, model):
    """Files of the selected heads that some methods fold."""
    names = dict.fromkeys(METHODS[name]["heads"] for name in methods)
    return [f"results/profiles/{model}/heads/{name}.json" for name in names if name != "all"]


def table_files(name):
    """The files of one table."""
    return [f"results/tables/{name}{end}" for end in (".csv", ".md", ".tex")]


def products():
    """Every table and figure that this experiment can fill."""
    models = EXPERIMENT["models"]
    tables = ["main", "measures"]
    tables += ["first_stage"] if PUBLISHED else []
    if any(cell[1] != "-" for cell in CELLS):
        tables += ["orders"] if {"reversed", "shuffled"} <= set(config["orders"]) else []
        figures = ["order_robustness"]
        tables += [f"latency/{model}" for model in models]
        figures += ["quality_latency"]
    else:
        figures = []
    tables += [f"formatting/{model}" for model in generating_models()]
    if REPORT["method"]:
        tables += [f"heads/{model}" for model in models]
        figures += ["head_scores"]
    if REPORT["panels"]:
        figures += ["homogenisation"]
    if any(method["heads"] != "all" for method in panel_methods(aligned=False).values()):
        figures += ["ndcg_by_heads"]
    if REPORT["panels"]:
        figures += ["middle_zone"]
        tables += [f"middle/{model}" for model in models]
    figures += ["learning_curve"] if REPORT["learning_curve"] else []
    recipes = used_recipes(config)
    figures += [f"training/{recipe}" for recipe in recipes]
    if any(len(RECIPES[recipe]["seeds"]) > 1 for recipe in recipes):
        tables += [f"seeds/{model}" for model in models]
    tables += [f"pairs/{model}/{recipe}" for model in models for recipe in recipes]
    return [
        *(["results/claims.csv", "results/claims.md"] if CLAIMED else []),
        *(path for name in tables for path in table_files(name)),
        *collect(
            "results/figures/{model}/{name}.{end}", model=models, name=figures, end=["pdf", "png"]
        ),
    ]


def curve_cards(wildcards):
    """Cards of the adapters on the learning curve: they tell how many queries each saw."""
    return [
        f"results/adapters/{wildcards.model}/{adapter}/headrank.json"
        for method in REPORT["learning_curve"]
        for adapter in adapters_of(method)
    ]


def adapter_tables(wildcards, name):
    """Training tables of a recipe's adapters, in the order of its seeds."""
    return [
        f"results/adapters/{wildcards.model}/{wildcards.recipe}-{seed}/{name}.csv"
        for seed in RECIPES[wildcards.recipe]["seeds"]
    ]
