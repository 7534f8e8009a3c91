# What figures show beyond the runs, folded from readings that are already there.


rule ndcg_by_heads_data:
    input:
        readings=lambda wildcards: readings([REPORT_SET], wildcards.model, "none", REPORT_ORDER),
        qrels=f"{RESULTS}/sets/{REPORT_SET}/qrels.tsv",
        profile="<results>/profiles/{model}/profile.npz",
    output:
        "<results>/studies/{model}/ndcg_by_heads.csv",
    log:
        "<logs>/studies/{model}/ndcg_by_heads.log",
    conda:
        "../envs/ir.yaml"
    params:
        over="heads",
        methods=unaligned_panels(),
        selections=config["selections"],
        options=study_options(),
        code=code("study_ndcg"),
    message:
        "Evaluate numbers of heads of {wildcards.model}"
    script:
        "../workflow/scripts/study_ndcg.py"


use rule ndcg_by_heads_data as ndcg_by_depth_data with:
    output:
        "<results>/studies/{model}/ndcg_by_depth.csv",
    log:
        "<logs>/studies/{model}/ndcg_by_depth.log",
    params:
        over="depth",
    message:
        "Evaluate depths of heads of {wildcards.model}"


rule head_controls:
    input:
        readings=lambda wildcards: [
            path
            for order in config["orders"]
            for path in readings([REPORT_SET], wildcards.model, "none", order)
        ],
        qrels=f"{RESULTS}/sets/{REPORT_SET}/qrels.tsv",
        heads=lambda wildcards: heads_of([REPORT["method"]], wildcards.model),
    output:
        "<results>/studies/{model}/head_controls.csv",
    log:
        "<logs>/studies/{model}/head_controls.log",
    conda:
        "../envs/ir.yaml"
    params:
        orders=config["orders"],
        fold=fold_of(REPORT["method"]) if REPORT["method"] else None,
        options=study_options(),
        code=code("study_head_controls"),
    message:
        "Compare the selected heads of {wildcards.model} with controls"
    script:
        "../workflow/scripts/study_head_controls.py"


rule positions:
    input:
        readings=lambda wildcards: panel_files(wildcards.model, "readings"),
        qrels=f"{RESULTS}/sets/{REPORT_SET}/qrels.tsv",
        heads=lambda wildcards: panel_files(wildcards.model, "heads"),
    output:
        positions="<results>/studies/{model}/positions.csv",
        spread="<results>/studies/{model}/spread.csv",
    log:
        "<logs>/studies/{model}/positions.log",
    conda:
        "../envs/ir.yaml"
    params:
        panels=lambda wildcards: panels(wildcards.model),
        parts=min(10, config["candidates"]),
        options=study_options(),
        code=code("study_positions"),
    message:
        "Follow relevance along the prompt, {wildcards.model}"
    script:
        "../workflow/scripts/study_positions.py"


rule middle_zone_data:
    input:
        readings=lambda wildcards: readings([REPORT_SET], wildcards.model, "none", REPORT_ORDER),
        qrels=f"{RESULTS}/sets/{REPORT_SET}/qrels.tsv",
        runs=lambda wildcards: [path for _, path in middle_cells(wildcards.model)],
    output:
        "<results>/studies/{model}/middle_zone.csv",
    log:
        "<logs>/studies/{model}/middle_zone.log",
    conda:
        "../envs/ir.yaml"
    params:
        methods=lambda wildcards: [method for method, _ in middle_cells(wildcards.model)],
        before=lambda wildcards: {
            method: plain
            for method, _ in middle_cells(wildcards.model)
            if method in METHODS and (plain := unaligned(method))
        },
        relevance_level=COLLECTIONS[SETS[REPORT_SET]["collection"]]["relevance_level"],
        confidence=config["evaluation"]["confidence"],
        seed=config["seed"],
        code=code("study_middle_zone"),
    message:
        "Follow the middle zone of the prompt, {wildcards.model}"
    script:
        "../workflow/scripts/study_middle_zone.py"
