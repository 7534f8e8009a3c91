LAYOUT = {
    "sets": EXPERIMENT["sets"],
    "orders": config["orders"],
    "methods": EXPERIMENT["methods"],
    "kinds": {name: method["kind"] for name, method in METHODS.items()},
    "controls": REPORT["controls"],
    "names": REPORT["names"],
    "groups": REPORT["groups"],
}
MAIN = {
    "measure": config["evaluation"]["main"],
    "baseline": REPORT["baseline"],
    "alpha": REPORT["alpha"],
    "notes": REPORT["notes"],
    "confidence": config["evaluation"]["confidence"],
}


rule main_table:
    input:
        per_query="<results>/evaluation/per_query.parquet",
        significance=(
            ["<results>/evaluation/significance.csv"]
            if config["evaluation"]["comparisons"]
            else []
        ),
        formatting=[f"{RESULTS}/tables/formatting/{model}.csv" for model in generating_models()],
    output:
        table_files("main"),
        report(
            "<results>/tables/main-wide.csv",
            caption="../workflow/report/main.rst",
            category="Tables",
            labels={"table": "methods"},
        ),
    log:
        "<logs>/tables/main.log",
    conda:
        "../envs/figures.yaml"
    params:
        **MAIN,
        layout=LAYOUT,
        model=None,
        code=code("main_table"),
    message:
        "Tabulate the main measure"
    script:
        "../workflow/scripts/main_table.py"


# As papers print it, a model and a prompt order a table: with many sets one of all is too wide.
use rule main_table as model_table with:
    output:
        table_files("main/{model}"),
        report(
            "<results>/tables/main/{model}-wide.csv",
            caption="../workflow/report/main.rst",
            category="Tables",
            labels={"table": "methods, {model}"},
        ),
    log:
        "<logs>/tables/main/{model}.log",
    wildcard_constraints:
        model=one_of(EXPERIMENT["models"]),
    params:
        **MAIN,
        layout=LAYOUT | {"orders": [REPORT_ORDER]},
        model=lambda wildcards: wildcards.model,
        code=code("main_table"),
    message:
        "Tabulate the main measure of {wildcards.model}"


rule significance_table:
    input:
        "<results>/evaluation/significance.csv",
    output:
        report(
            "<results>/tables/significance.csv",
            caption="../workflow/report/significance.rst",
            category="Tables",
            labels={"table": "significance"},
        ),
        "<results>/tables/significance.md",
        "<results>/tables/significance.tex",
    log:
        "<logs>/tables/significance.log",
    conda:
        "../envs/figures.yaml"
    params:
        confidence=config["evaluation"]["confidence"],
        resamples=config["evaluation"]["resamples"],
        measure=config["evaluation"]["main"],
        names=REPORT["names"],
        code=code("significance_table"),
    message:
        "Tabulate the comparisons"
    script:
        "../workflow/scripts/significance_table.py"


rule measure_table:
    input:
        "<results>/evaluation/per_query.parquet",
    output:
        table_files("measures"),
        report(
            "<results>/tables/measures-wide.csv",
            caption="../workflow/report/measures.rst",
            category="Tables",
            labels={"table": "measures"},
        ),
    log:
        "<logs>/tables/measures.log",
    conda:
        "../envs/figures.yaml"
    params:
        layout=LAYOUT,
        measures=config["evaluation"]["measures"],
        order=REPORT_ORDER,
        code=code("measure_table"),
    message:
        "Tabulate every measure"
    script:
        "../workflow/scripts/measure_table.py"


rule order_table:
    input:
        "<results>/evaluation/per_query.parquet",
    output:
        table_files("orders"),
        report(
            "<results>/tables/orders-wide.csv",
            caption="../workflow/report/orders.rst",
            category="Tables",
            labels={"table": "prompt orders"},
        ),
    log:
        "<logs>/tables/orders.log",
    conda:
        "../envs/figures.yaml"
    params:
        layout=LAYOUT,
        measure=config["evaluation"]["main"],
        confidence=config["evaluation"]["confidence"],
        seed=config["seed"],
        code=code("order_table"),
    message:
        "Tabulate the prompt orders"
    script:
        "../workflow/scripts/order_table.py"


rule heads_table:
    input:
        profile="<results>/profiles/{model}/profile.npz",
        heads=lambda wildcards: heads_of(
            [name for name in methods_of("attention") if name in EXPERIMENT["methods"]],
            wildcards.model,
        ),
    output:
        report(
            "<results>/tables/heads/{model}.csv",
            caption="../workflow/report/heads.rst",
            category="Tables",
            labels={"table": "heads of {model}"},
        ),
        "<results>/tables/heads/{model}.md",
        "<results>/tables/heads/{model}.tex",
    log:
        "<logs>/tables/heads/{model}.log",
    conda:
        "../envs/figures.yaml"
    params:
        selections=config["selections"],
        resamples=REPORT["resamples"],
        seed=config["seed"],
        # Selections, not methods: aligned and untuned methods may read the same heads.
        names=config["report"]["names"],
        code=code("heads_table"),
    message:
        "Tabulate the selected heads of {wildcards.model}"
    script:
        "../workflow/scripts/heads_table.py"


rule middle_table:
    input:
        "<results>/studies/{model}/middle_zone.csv",
    output:
        report(
            "<results>/tables/middle/{model}.csv",
            caption="../workflow/report/middle_table.rst",
            category="Tables",
            labels={"table": "middle zone, {model}"},
        ),
        "<results>/tables/middle/{model}.md",
        "<results>/tables/middle/{model}.tex",
    log:
        "<logs>/tables/middle/{model}.log",
    conda:
        "../envs/figures.yaml"
    params:
        confidence=config["evaluation"]["confidence"],
        names=REPORT["names"],
        code=code("middle_table"),
    message:
        "Tabulate the middle zone, {wildcards.model}"
    script:
        "../workflow/scripts/middle_table.py"


rule homogenisation_table:
    input:
        positions="<results>/studies/{model}/positions.csv",
        spread="<results>/studies/{model}/spread.csv",
    output:
        report(
            "<results>/tables/homogenisation/{model}.csv",
            caption="../workflow/report/homogenisation_table.rst",
            category="Tables",
            labels={"table": "homogenisation, {model}"},
        ),
        "<results>/tables/homogenisation/{model}.md",
        "<results>/tables/homogenisation/{model}.tex",
    log:
        "<logs>/tables/homogenisation/{model}.log",
    conda:
        "../envs/figures.yaml"
    params:
        confidence=config["evaluation"]["confidence"],
        names=REPORT["names"],
        code=code("homogenisation_table"),
    message:
        "Tabulate relevance along the prompt, {wildcards.model}"
    script:
        "../workflow/scripts/homogenisation_table.py"


rule pairs_table:
    input:
        "<results>/pairs/{model}/{recipe}/summary.csv",
    output:
        report(
            "<results>/tables/pairs/{model}/{recipe}.csv",
            caption="../workflow/report/pairs.rst",
            category="Tables",
            labels={"table": "pairs of {recipe}, {model}"},
        ),
        "<results>/tables/pairs/{model}/{recipe}.md",
        "<results>/tables/pairs/{model}/{recipe}.tex",
    log:
        "<logs>/tables/pairs/{model}/{recipe}.log",
    conda:
        "../envs/figures.yaml"
    params:
        code=code("pairs_table"),
    message:
        "Tabulate the pairs of {wildcards.recipe}, {wildcards.model}"
    script:
        "../workflow/scripts/pairs_table.py"


rule seeds_table:
    input:
        "<results>/evaluation/per_run.parquet",
    output:
        report(
            "<results>/tables/seeds/{model}.csv",
            caption="../workflow/report/seeds.rst",
            category="Tables",
            labels={"table": "training seeds, {model}"},
        ),
        "<results>/tables/seeds/{model}.md",
        "<results>/tables/seeds/{model}.tex",
    log:
        "<logs>/tables/seeds/{model}.log",
    conda:
        "../envs/figures.yaml"
    params:
        seeds=ADAPTERS,
        measure=config["evaluation"]["main"],
        names=REPORT["names"],
        code=code("seeds_table"),
    message:
        "Tabulate the training seeds, {wildcards.model}"
    script:
        "../workflow/scripts/seeds_table.py"
