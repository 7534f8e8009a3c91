LAYOUT = {
    "sets": EXPERIMENT["sets"],
    "orders": config["orders"],
    "methods": EXPERIMENT["methods"],
    "kinds": {name: method["kind"] for name, method in METHODS.items()},
    "controls": REPORT["controls"],
    "names": REPORT["names"],
}


rule main_table:
    input:
        per_query="results/evaluation/per_query.parquet",
        significance=(
            ["results/evaluation/significance.csv"] if config["evaluation"]["comparisons"] else []
        ),
    output:
        table_files("main"),
        report(
            "results/tables/main-wide.csv",
            caption="../workflow/report/main.rst",
            category="Tables",
            labels={"table": "methods"},
        ),
    log:
        "logs/tables/main.log",
    conda:
        "../envs/figures.yaml"
    params:
        layout=LAYOUT,
        measure=config["evaluation"]["main"],
        baseline=REPORT["baseline"],
        alpha=REPORT["alpha"],
        notes=REPORT["notes"],
        confidence=config["evaluation"]["confidence"],
        code=code("main_table"),
    message:
        "Tabulate the main measure"
    script:
        "../workflow/scripts/main_table.py"


rule measure_table:
    input:
        "results/evaluation/per_query.parquet",
    output:
        table_files("measures"),
        report(
            "results/tables/measures-wide.csv",
            caption="../workflow/report/measures.rst",
            category="Tables",
            labels={"table": "measures"},
        ),
    log:
        "logs/tables/measures.log",
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
        "results/evaluation/per_query.parquet",
    output:
        table_files("orders"),
        report(
            "results/tables/orders-wide.csv",
            caption="../workflow/report/orders.rst",
            category="Tables",
            labels={"table": "prompt orders"},
        ),
    log:
        "logs/tables/orders.log",
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
        profile="results/profiles/{model}/profile.npz",
        heads=lambda wildcards: heads_of(
            [name for name in methods_of("attention") if name in EXPERIMENT["methods"]],
            wildcards.model,
        ),
    output:
        report(
            "results/tables/heads/{model}.csv",
            caption="../workflow/report/heads.rst",
            category="Tables",
            labels={"table": "heads of {model}"},
        ),
        "results/tables/heads/{model}.md",
        "results/tables/heads/{model}.tex",
    log:
        "logs/tables/heads/{model}.log",
    conda:
        "../envs/figures.yaml"
    params:
        selections=config["selections"],
        resamples=REPORT["resamples"],
        seed=config["seed"],
        names=REPORT["names"],
        code=code("heads_table"),
    message:
        "Tabulate the selected heads of {wildcards.model}"
    script:
        "../workflow/scripts/heads_table.py"


rule order_robustness:
    input:
        "results/evaluation/per_query.parquet",
    output:
        pdf="results/figures/{model}/order_robustness.pdf",
        png=report(
            "results/figures/{model}/order_robustness.png",
            caption="../workflow/report/order_robustness.rst",
            category="Figures",
            labels={"figure": "prompt orders", "model": "{model}"},
        ),
    log:
        "logs/figures/{model}/order_robustness.log",
    conda:
        "../envs/figures.yaml"
    params:
        layout=LAYOUT,
        measure=config["evaluation"]["main"],
        confidence=config["evaluation"]["confidence"],
        seed=config["seed"],
        code=code("figure_order_robustness"),
    message:
        "Draw the prompt orders, {wildcards.model}"
    script:
        "../workflow/scripts/figure_order_robustness.py"


rule head_scores:
    input:
        profile="results/profiles/{model}/profile.npz",
        heads=lambda wildcards: heads_of([REPORT["method"]], wildcards.model),
        controls="results/studies/{model}/head_controls.csv",
        per_query="results/evaluation/per_query.parquet",
    output:
        pdf="results/figures/{model}/head_scores.pdf",
        png=report(
            "results/figures/{model}/head_scores.png",
            caption="../workflow/report/head_scores.rst",
            category="Figures",
            labels={"figure": "head scores", "model": "{model}"},
        ),
    log:
        "logs/figures/{model}/head_scores.log",
    conda:
        "../envs/figures.yaml"
    params:
        selection=lambda wildcards: config["selections"][METHODS[REPORT["method"]]["heads"]],
        measure=config["evaluation"]["main"],
        set=REPORT_SET,
        first_stage=methods_of("first-stage"),
        code=code("figure_head_scores"),
    message:
        "Draw the head scores of {wildcards.model}"
    script:
        "../workflow/scripts/figure_head_scores.py"


rule ndcg_by_heads:
    input:
        curves="results/studies/{model}/ndcg_by_heads.csv",
        per_query="results/evaluation/per_query.parquet",
    output:
        pdf="results/figures/{model}/ndcg_by_heads.pdf",
        png=report(
            "results/figures/{model}/ndcg_by_heads.png",
            caption="../workflow/report/ndcg_by_heads.rst",
            category="Figures",
            labels={"figure": "number of heads", "model": "{model}"},
        ),
    log:
        "logs/figures/{model}/ndcg_by_heads.log",
    conda:
        "../envs/figures.yaml"
    params:
        measure=config["evaluation"]["main"],
        set=REPORT_SET,
        references=methods_of("first-stage", "dense", "random"),
        names=REPORT["names"],
        code=code("figure_ndcg_by_heads"),
    message:
        "Draw the measure against the number of heads, {wildcards.model}"
    script:
        "../workflow/scripts/figure_ndcg_by_heads.py"


rule homogenisation:
    input:
        "results/studies/{model}/positions.csv",
    output:
        pdf="results/figures/{model}/homogenisation.pdf",
        png=report(
            "results/figures/{model}/homogenisation.png",
            caption="../workflow/report/homogenisation.rst",
            category="Figures",
            labels={"figure": "homogenisation", "model": "{model}"},
        ),
    log:
        "logs/figures/{model}/homogenisation.log",
    conda:
        "../envs/figures.yaml"
    params:
        names=REPORT["names"],
        code=code("figure_homogenisation"),
    message:
        "Draw relevance by prompt position, {wildcards.model}"
    script:
        "../workflow/scripts/figure_homogenisation.py"


rule middle_table:
    input:
        "results/studies/{model}/middle_zone.csv",
    output:
        report(
            "results/tables/middle/{model}.csv",
            caption="../workflow/report/middle_table.rst",
            category="Tables",
            labels={"table": "middle zone, {model}"},
        ),
        "results/tables/middle/{model}.md",
        "results/tables/middle/{model}.tex",
    log:
        "logs/tables/middle/{model}.log",
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


rule middle_zone:
    input:
        "results/studies/{model}/middle_zone.csv",
    output:
        pdf="results/figures/{model}/middle_zone.pdf",
        png=report(
            "results/figures/{model}/middle_zone.png",
            caption="../workflow/report/middle_zone.rst",
            category="Figures",
            labels={"figure": "middle zone", "model": "{model}"},
        ),
    log:
        "logs/figures/{model}/middle_zone.log",
    conda:
        "../envs/figures.yaml"
    params:
        names=REPORT["names"],
        code=code("figure_middle_zone"),
    message:
        "Draw the middle zone, {wildcards.model}"
    script:
        "../workflow/scripts/figure_middle_zone.py"


rule pairs_table:
    input:
        "results/pairs/{model}/{recipe}/summary.csv",
    output:
        report(
            "results/tables/pairs/{model}/{recipe}.csv",
            caption="../workflow/report/pairs.rst",
            category="Tables",
            labels={"table": "pairs of {recipe}, {model}"},
        ),
        "results/tables/pairs/{model}/{recipe}.md",
        "results/tables/pairs/{model}/{recipe}.tex",
    log:
        "logs/tables/pairs/{model}/{recipe}.log",
    conda:
        "../envs/figures.yaml"
    params:
        code=code("pairs_table"),
    message:
        "Tabulate the pairs of {wildcards.recipe}, {wildcards.model}"
    script:
        "../workflow/scripts/pairs_table.py"


rule training:
    input:
        steps=lambda wildcards: adapter_tables(wildcards, "training"),
        validation=lambda wildcards: adapter_tables(wildcards, "validation"),
    output:
        pdf="results/figures/{model}/training/{recipe}.pdf",
        png=report(
            "results/figures/{model}/training/{recipe}.png",
            caption="../workflow/report/training.rst",
            category="Figures",
            labels={"figure": "training of {recipe}", "model": "{model}"},
        ),
    log:
        "logs/figures/{model}/training/{recipe}.log",
    conda:
        "../envs/figures.yaml"
    params:
        seeds=lambda wildcards: RECIPES[wildcards.recipe]["seeds"],
        code=code("figure_training"),
    message:
        "Draw the training of {wildcards.recipe}, {wildcards.model}"
    script:
        "../workflow/scripts/figure_training.py"


rule learning_curve:
    input:
        per_run="results/evaluation/per_run.parquet",
        cards=curve_cards,
    output:
        pdf="results/figures/{model}/learning_curve.pdf",
        png=report(
            "results/figures/{model}/learning_curve.png",
            caption="../workflow/report/learning_curve.rst",
            category="Figures",
            labels={"figure": "learning curve", "model": "{model}"},
        ),
    log:
        "logs/figures/{model}/learning_curve.log",
    conda:
        "../envs/figures.yaml"
    params:
        set=REPORT_SET,
        order=REPORT_ORDER,
        measure=config["evaluation"]["main"],
        references=[
            name
            for name in EXPERIMENT["methods"]
            if METHODS.get(name, {}).get("kind") in ("first-stage", "dense")
            or name == REPORT["method"]
        ],
        names=REPORT["names"],
        code=code("figure_learning_curve"),
    message:
        "Draw the learning curve of {wildcards.model}"
    script:
        "../workflow/scripts/figure_learning_curve.py"


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
