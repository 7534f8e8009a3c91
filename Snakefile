from snakemake.utils import min_version

min_version("9.20")

# A config file of the command line is a whole experiment of its own, not a change of the demo.
if not workflow.overwrite_configfiles:

    configfile: f"{workflow.basedir}/config/config.yaml"


report: "workflow/report/workflow.rst"


wildcard_constraints:
    file="[A-Za-z0-9][A-Za-z0-9._+-]*",
    collection="[A-Za-z0-9][A-Za-z0-9._-]*",
    split="[A-Za-z0-9][A-Za-z0-9._-]*",
    set="[A-Za-z0-9][A-Za-z0-9._-]*",
    model="[A-Za-z0-9][A-Za-z0-9._-]*",
    adapter="[A-Za-z0-9][A-Za-z0-9._-]*",
    order="first-stage|reversed|shuffled(-[0-9]+)?",
    shard="[0-9]+",
    selection="[A-Za-z0-9][A-Za-z0-9._-]*",
    method="[A-Za-z0-9][A-Za-z0-9._-]*",
    recipe="[A-Za-z0-9][A-Za-z0-9._-]*",


# On one machine as many GPU jobs run as it has GPUs; on a cluster each has its own.
resource_scopes:
    gpu="local",


include: "rules/storage.smk"
include: "rules/common.smk"
include: "rules/resources.smk"
include: "rules/products.smk"
include: "rules/models.smk"
include: "rules/collections.smk"
include: "rules/retrieval.smk"
include: "rules/first_stage.smk"
include: "rules/reading.smk"
include: "rules/profiling.smk"
include: "rules/pairs.smk"
include: "rules/alignment.smk"
include: "rules/ranking.smk"
include: "rules/protocols.smk"
include: "rules/generation.smk"
include: "rules/evaluation.smk"
include: "rules/studies.smk"
include: "rules/ablations.smk"
include: "rules/timing.smk"
include: "rules/latency.smk"
include: "rules/benchmarks.smk"
include: "rules/tables.smk"
include: "rules/figures.smk"
include: "rules/named.smk"
include: "rules/targets.smk"
include: "rules/claimed.smk"
include: "rules/claims.smk"
include: "rules/manifest.smk"
include: "rules/estimate.smk"


onsuccess:
    print_ending()


rule all:
    default_target: True
    input:
        rules.evaluation.input,
        "<results>/manifest.json",
    localrule: True
