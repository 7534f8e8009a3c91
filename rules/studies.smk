from headrank.workflow import studies

# What figures show beyond the runs, folded from readings that are already there.


rule ndcg_by_heads_data:
    input:
        qrels=experiment.set_files(experiment.report_set)["qrels"],
        needed=lambda wildcards: [
            *studies.counted_files(experiment, wildcards.model, "readings"),
            *studies.counted_files(experiment, wildcards.model, "profile"),
        ],
    output:
        "<results>/studies/{model}/ndcg_by_heads.csv",
    log:
        "<logs>/studies/{model}/ndcg_by_heads.log",
    conda:
        "../envs/ir.yaml"
    params:
        over="heads",
        methods=lambda wildcards: studies.counted(experiment, wildcards.model),
        options=studies.study_options(experiment),
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
        needed=lambda wildcards: studies.flat(studies.control_readings(experiment, wildcards.model)),
        qrels=experiment.set_files(experiment.report_set)["qrels"],
        heads=lambda wildcards: experiment.heads_of([experiment.report["method"]], wildcards.model),
    output:
        "<results>/studies/{model}/head_controls.csv",
    log:
        "<logs>/studies/{model}/head_controls.log",
    conda:
        "../envs/ir.yaml"
    params:
        orders=lambda wildcards: studies.control_readings(experiment, wildcards.model),
        fold=(
            experiment.fold_of(experiment.report["method"])
            if experiment.report["method"]
            else None
        ),
        options=studies.study_options(experiment),
        code=code("study_head_controls"),
    message:
        "Compare the selected heads of {wildcards.model} with controls"
    script:
        "../workflow/scripts/study_head_controls.py"


rule positions:
    input:
        qrels=experiment.set_files(experiment.report_set)["qrels"],
        needed=lambda wildcards: [
            *studies.panel_files(experiment, wildcards.model, "readings"),
            *studies.panel_files(experiment, wildcards.model, "heads"),
        ],
    output:
        positions="<results>/studies/{model}/positions.csv",
        spread="<results>/studies/{model}/spread.csv",
    log:
        "<logs>/studies/{model}/positions.log",
    conda:
        "../envs/ir.yaml"
    params:
        panels=lambda wildcards: studies.panels(experiment, wildcards.model),
        parts=min(10, config["candidates"]),
        order=experiment.report_order,
        options=studies.study_options(experiment),
        code=code("study_positions"),
    message:
        "Follow relevance along the prompt, {wildcards.model}"
    script:
        "../workflow/scripts/study_positions.py"


rule middle_zone_data:
    input:
        readings=lambda wildcards: studies.listed_readings(experiment, wildcards.model),
        qrels=experiment.set_files(experiment.report_set)["qrels"],
        runs=lambda wildcards: [
            path for _, path in studies.middle_cells(experiment, wildcards.model)
        ],
    output:
        "<results>/studies/{model}/middle_zone.csv",
    log:
        "<logs>/studies/{model}/middle_zone.log",
    conda:
        "../envs/ir.yaml"
    params:
        methods=lambda wildcards: studies.middle_methods(experiment, wildcards.model),
        before=lambda wildcards: studies.middle_before(experiment, wildcards.model),
        relevance_level=experiment.collection_of(experiment.report_set)["relevance_level"],
        order=experiment.report_order,
        confidence=config["evaluation"]["confidence"],
        seed=config["seed"],
        code=code("study_middle_zone"),
    message:
        "Follow the middle zone of the prompt, {wildcards.model}"
    script:
        "../workflow/scripts/study_middle_zone.py"


# Passages longer than the prompt's budget are cut: the main table says how many.
rule cut_documents:
    input:
        readings=lambda wildcards: [
            path
            for paths in studies.read_sets_of(experiment, wildcards.model).values()
            for path in paths
        ],
    output:
        "<results>/studies/{model}/cut.csv",
    log:
        "<logs>/studies/{model}/cut.log",
    wildcard_constraints:
        model=one_of(experiment.model_names),
    conda:
        "../envs/ir.yaml"
    params:
        shards=lambda wildcards: {
            name: len(paths)
            for name, paths in studies.read_sets_of(experiment, wildcards.model).items()
        },
        code=code("study_cut"),
    message:
        "Count the documents that were cut, {wildcards.model}"
    script:
        "../workflow/scripts/study_cut.py"
