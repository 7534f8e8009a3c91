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


include: "rules/common.smk"
include: "rules/inputs.smk"
include: "rules/retrieval.smk"
include: "rules/query_sets.smk"
include: "rules/reading.smk"
include: "rules/heads.smk"
include: "rules/alignment.smk"
include: "rules/ranking.smk"
include: "rules/generation.smk"
include: "rules/evaluation.smk"
include: "rules/studies.smk"
include: "rules/timing.smk"
include: "rules/report.smk"
include: "rules/provenance.smk"
include: "rules/estimate.smk"


onsuccess:
    print_ending()


rule all:
    default_target: True
    input:
        provenance.results(),
        "<results>/manifest.json",
    localrule: True
