rule query_set:
    input:
        collection=lambda wildcards: settled(
            experiment.declared_sets[wildcards.set]["collection"],
            experiment.collection_of_set(wildcards),
        ),
        run=experiment.first_stage_run,
        earlier=own.earlier_sets,
    output:
        target=list(experiment.set_files("{set}").values()),
    log:
        "<logs>/sets/{set}.log",
    wildcard_constraints:
        set=one_of(experiment.declared_sets),
    priority: FIRST
    conda:
        "../envs/ir.yaml"
    params:
        options=lambda wildcards: experiment.declared_sets[wildcards.set],
        candidates=config["candidates"],
        seed=config["seed"],
        data=own.data_of_set,
        code=code("sample_set"),
    message:
        "Sample the query set {wildcards.set}"
    script:
        "../workflow/scripts/sample_set.py"


rule check_roles:
    input:
        queries=[experiment.set_files(name)["queries"] for name in experiment.used_roles()],
    output:
        "<results>/sets/roles.json",
    log:
        "<logs>/sets/roles.log",
    priority: FIRST
    localrule: True
    conda:
        "../envs/ir.yaml"
    params:
        sets=experiment.used_roles(),
        code=code("check_roles"),
    message:
        "Check that no query stands in sets of two roles"
    script:
        "../workflow/scripts/check_roles.py"
