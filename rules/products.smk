# What the report's tables and figures are made from.
REPORT = config["report"] | {"names": printed(METHODS, config["report"]["names"])}
REPORT_SET = REPORT["set"] or EXPERIMENT["sets"][0]
REPORT_ORDER = config["evaluation"]["orders"][0]


def unaligned_panels():
    """Heads and fold of the methods without an adapter that the figures of heads compare."""
    return {
        name: {"heads": METHODS[name]["heads"], "fold": fold_of(name)}
        for name in REPORT["panels"]
        if "adapter" not in METHODS[name]
    }


def panels(model):
    """Fold of each panel's method, and of every seed its readings on the report's set and heads."""
    return {
        name: {
            "fold": fold_of(name),
            "seeds": [
                {
                    "readings": readings([REPORT_SET], model, adapter, REPORT_ORDER),
                    "heads": folded_heads(name, model, adapter),
                }
                for adapter in adapters_of(name)
            ],
        }
        for name in REPORT["panels"]
    }


def panel_files(model, kind):
    """Readings or heads of all panels."""
    found = [seed[kind] for panel in panels(model).values() for seed in panel["seeds"]]
    return list(dict.fromkeys(path for paths in found for path in paths))


def unaligned(name):
    """The experiment's method that is this aligned one without its adapter; None without one."""
    if "adapter" not in METHODS[name]:
        return None
    plain = {k: v for k, v in METHODS[name].items() if k != "adapter"} | {"reselect": False}
    return next((other for other in EXPERIMENT["methods"] if METHODS.get(other) == plain), None)


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
    return [f"{RESULTS}/profiles/{model}/heads/{name}.json" for name in names if name != "all"]


def table_files(name):
    """The files of one table."""
    return [f"{RESULTS}/tables/{name}{end}" for end in (".csv", ".md", ".tex")]


def reads():
    """Whether a method of the experiment reads or asks a model."""
    return any(cell[1] != "-" for cell in CELLS)


def tables():
    """Names of the tables that this experiment can fill, by kind."""
    models, recipes = EXPERIMENT["models"], used_recipes(config)
    mined = dict.fromkeys(MINED_AS[recipe] for recipe in recipes)
    ordered = reads() and {"reversed", "shuffled"} <= set(config["orders"])
    several = any(len(RECIPES[recipe]["seeds"]) > 1 for recipe in recipes)
    names = {
        "main": ["main", *(f"main/{model}" for model in models if reads())],
        "measures": ["measures"],
        "significance": ["significance"] if config["evaluation"]["comparisons"] else [],
        "first_stage": ["first_stage"] if PUBLISHED else [],
        "orders": ["orders"] if ordered else [],
        "pairs": [f"pairs/{model}/{recipe}" for model in models for recipe in mined],
    }
    chosen = {
        "latency": models if reads() else [],
        "formatting": generating_models(),
        "heads": models if REPORT["method"] else [],
        "middle": models if REPORT["panels"] else [],
        "homogenisation": models if REPORT["panels"] else [],
        "seeds": models if several else [],
        "ablations": models if SETTINGS else [],
    }
    return names | {kind: [f"{kind}/{model}" for model in chosen[kind]] for kind in chosen}


def figures():
    """Names of each model's figures that this experiment can fill, by kind."""
    counted = any(method["heads"] != "all" for method in unaligned_panels().values())
    return {
        "order": ["order_robustness"] if reads() else [],
        "quality_latency": ["quality_latency"] if reads() else [],
        "heads": ["head_scores"] if REPORT["method"] else [],
        "homogenisation": ["homogenisation"] if REPORT["panels"] else [],
        "ndcg_by_heads": ["ndcg_by_heads"] if counted else [],
        "ndcg_by_depth": ["ndcg_by_depth"] if counted else [],
        "middle": ["middle_zone"] if REPORT["panels"] else [],
        "learning_curve": ["learning_curve"] if REPORT["learning_curve"] else [],
        "training": [f"training/{recipe}" for recipe in used_recipes(config)],
        "ablations": ["ablations"] if SETTINGS else [],
    }


def product_files():
    """Files of every table and figure that this experiment can fill, by target."""
    files = {
        f"table_{kind}": [path for name in names for path in table_files(name)]
        for kind, names in tables().items()
    }
    for kind, names in figures().items():
        files[f"figure_{kind}"] = collect(
            f"{RESULTS}/figures/{{model}}/{{name}}.{{end}}",
            model=EXPERIMENT["models"],
            name=names,
            end=["pdf", "png"],
        )
    return files


def products():
    """Every table and figure of a run without a target."""
    asked_for = set() if REPORT["ablations"] else {"table_ablations", "figure_ablations"}
    return [
        *([f"{RESULTS}/claims.csv", f"{RESULTS}/claims.md"] if CLAIMED else []),
        *(
            path
            for target, paths in product_files().items()
            if target not in asked_for
            for path in paths
        ),
    ]


def curve_cards(wildcards):
    """Cards of the adapters on the learning curve: they tell how many queries each saw."""
    return [
        f"{RESULTS}/adapters/{wildcards.model}/{adapter}/headrank.json"
        for method in REPORT["learning_curve"]
        for adapter in adapters_of(method)
    ]


def adapter_tables(wildcards, name):
    """Training tables of a recipe's adapters, in the order of its seeds."""
    return [
        f"{RESULTS}/adapters/{wildcards.model}/{wildcards.recipe}-{seed}/{name}.csv"
        for seed in RECIPES[wildcards.recipe]["seeds"]
    ]
