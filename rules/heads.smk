rule profile:
    input:
        readings=experiment.profiled,
        qrels=experiment.qrels_of(config["profiling"]["sets"]),
    output:
        profile="<results>/profiles/{model}/profile.npz",
        table="<results>/profiles/{model}/profile.csv",
    log:
        "<logs>/profiles/{model}/profile.log",
    priority: FIRST
    conda:
        "../envs/ir.yaml"
    params:
        temperature=config["profiling"]["temperature"],
        code=code("profile_heads"),
    message:
        "Profile the heads of {wildcards.model}"
    script:
        "../workflow/scripts/profile_heads.py"


# Heads are other ones where documents are read apart.
use rule profile as profile_apart with:
    output:
        profile="<results>/profiles/{model}/{layout}/profile.npz",
        table="<results>/profiles/{model}/{layout}/profile.csv",
    log:
        "<logs>/profiles/{model}/{layout}/profile.log",
    wildcard_constraints:
        layout=one_of(APART),
    message:
        "Profile the heads of {wildcards.model} in layout {wildcards.layout}"


# The heads of an aligned model, for methods that select theirs again after training.
use rule profile as profile_aligned with:
    input:
        readings=experiment.profiled,
        qrels=experiment.qrels_of(config["profiling"]["sets"]),
    output:
        profile="<results>/profiles/{model}/aligned/{adapter}/profile.npz",
        table="<results>/profiles/{model}/aligned/{adapter}/profile.csv",
    log:
        "<logs>/profiles/{model}/aligned/{adapter}/profile.log",
    message:
        "Profile the heads of {wildcards.model} with adapter {wildcards.adapter}"


rule select_heads:
    input:
        profile=experiment.selection_profile,
    output:
        "<results>/profiles/{model}/heads/{selection}.json",
    log:
        "<logs>/profiles/{model}/heads/{selection}.log",
    wildcard_constraints:
        selection=one_of(config["selections"]),
    priority: FIRST
    conda:
        "../envs/ir.yaml"
    params:
        options=lambda wildcards: experiment.selection_of(wildcards.selection),
        code=code("select_heads"),
    message:
        "Select heads of {wildcards.model} as {wildcards.selection}"
    script:
        "../workflow/scripts/select_heads.py"


use rule select_heads as select_heads_aligned with:
    input:
        profile="<results>/profiles/{model}/aligned/{adapter}/profile.npz",
    output:
        "<results>/profiles/{model}/aligned/{adapter}/heads/{selection}.json",
    log:
        "<logs>/profiles/{model}/aligned/{adapter}/heads/{selection}.log",
    message:
        "Select heads of {wildcards.model} as {wildcards.selection}, adapter {wildcards.adapter}"
