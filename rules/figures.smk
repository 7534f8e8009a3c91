rule order_robustness:
    input:
        "<results>/evaluation/per_query.parquet",
    output:
        pdf="<results>/figures/{model}/order_robustness.pdf",
        png=report(
            "<results>/figures/{model}/order_robustness.png",
            caption="../workflow/report/order_robustness.rst",
            category="Figures",
            labels={"figure": "prompt orders", "model": "{model}"},
        ),
    log:
        "<logs>/figures/{model}/order_robustness.log",
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
        profile="<results>/profiles/{model}/profile.npz",
        heads=lambda wildcards: heads_of([REPORT["method"]], wildcards.model),
        controls="<results>/studies/{model}/head_controls.csv",
        per_query="<results>/evaluation/per_query.parquet",
    output:
        pdf="<results>/figures/{model}/head_scores.pdf",
        png=report(
            "<results>/figures/{model}/head_scores.png",
            caption="../workflow/report/head_scores.rst",
            category="Figures",
            labels={"figure": "head scores", "model": "{model}"},
        ),
    log:
        "<logs>/figures/{model}/head_scores.log",
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
        curves="<results>/studies/{model}/ndcg_by_heads.csv",
        per_query="<results>/evaluation/per_query.parquet",
    output:
        pdf="<results>/figures/{model}/ndcg_by_heads.pdf",
        png=report(
            "<results>/figures/{model}/ndcg_by_heads.png",
            caption="../workflow/report/ndcg_by_heads.rst",
            category="Figures",
            labels={"figure": "number of heads", "model": "{model}"},
        ),
    log:
        "<logs>/figures/{model}/ndcg_by_heads.log",
    conda:
        "../envs/figures.yaml"
    params:
        over="heads",
        measure=config["evaluation"]["main"],
        set=REPORT_SET,
        references=methods_of("first-stage", "dense", "cross-encoder", "random"),
        names=REPORT["names"],
        code=code("figure_ndcg"),
    message:
        "Draw the measure against the number of heads, {wildcards.model}"
    script:
        "../workflow/scripts/figure_ndcg.py"


use rule ndcg_by_heads as ndcg_by_depth with:
    input:
        curves="<results>/studies/{model}/ndcg_by_depth.csv",
        per_query="<results>/evaluation/per_query.parquet",
    output:
        pdf="<results>/figures/{model}/ndcg_by_depth.pdf",
        png=report(
            "<results>/figures/{model}/ndcg_by_depth.png",
            caption="../workflow/report/ndcg_by_depth.rst",
            category="Figures",
            labels={"figure": "depth of heads", "model": "{model}"},
        ),
    log:
        "<logs>/figures/{model}/ndcg_by_depth.log",
    params:
        over="depth",
    message:
        "Draw the measure against the depth of heads, {wildcards.model}"


rule homogenisation:
    input:
        positions="<results>/studies/{model}/positions.csv",
    output:
        pdf="<results>/figures/{model}/homogenisation.pdf",
        png=report(
            "<results>/figures/{model}/homogenisation.png",
            caption="../workflow/report/homogenisation.rst",
            category="Figures",
            labels={"figure": "homogenisation", "model": "{model}"},
        ),
    log:
        "<logs>/figures/{model}/homogenisation.log",
    conda:
        "../envs/figures.yaml"
    params:
        names=REPORT["names"],
        code=code("figure_homogenisation"),
    message:
        "Draw relevance by prompt position, {wildcards.model}"
    script:
        "../workflow/scripts/figure_homogenisation.py"


rule middle_zone:
    input:
        "<results>/studies/{model}/middle_zone.csv",
    output:
        pdf="<results>/figures/{model}/middle_zone.pdf",
        png=report(
            "<results>/figures/{model}/middle_zone.png",
            caption="../workflow/report/middle_zone.rst",
            category="Figures",
            labels={"figure": "middle zone", "model": "{model}"},
        ),
    log:
        "<logs>/figures/{model}/middle_zone.log",
    conda:
        "../envs/figures.yaml"
    params:
        names=REPORT["names"],
        code=code("figure_middle_zone"),
    message:
        "Draw the middle zone, {wildcards.model}"
    script:
        "../workflow/scripts/figure_middle_zone.py"


rule training:
    input:
        steps=lambda wildcards: adapter_tables(wildcards, "training"),
        validation=lambda wildcards: adapter_tables(wildcards, "validation"),
    output:
        pdf="<results>/figures/{model}/training/{recipe}.pdf",
        png=report(
            "<results>/figures/{model}/training/{recipe}.png",
            caption="../workflow/report/training.rst",
            category="Figures",
            labels={"figure": "training of {recipe}", "model": "{model}"},
        ),
    log:
        "<logs>/figures/{model}/training/{recipe}.log",
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
        per_run="<results>/evaluation/per_run.parquet",
        cards=curve_cards,
    output:
        pdf="<results>/figures/{model}/learning_curve.pdf",
        png=report(
            "<results>/figures/{model}/learning_curve.png",
            caption="../workflow/report/learning_curve.rst",
            category="Figures",
            labels={"figure": "learning curve", "model": "{model}"},
        ),
    log:
        "<logs>/figures/{model}/learning_curve.log",
    conda:
        "../envs/figures.yaml"
    params:
        set=REPORT_SET,
        order=REPORT_ORDER,
        measure=config["evaluation"]["main"],
        references=[
            name
            for name in EXPERIMENT["methods"]
            if METHODS.get(name, {}).get("kind") in ("first-stage", "dense", "cross-encoder")
            or name == REPORT["method"]
        ],
        names=REPORT["names"],
        code=code("figure_learning_curve"),
    message:
        "Draw the learning curve of {wildcards.model}"
    script:
        "../workflow/scripts/figure_learning_curve.py"
