# What the experiment will cost: `snakemake estimate`. Nothing else is run. It has no output for
# Snakemake to find, so it is always told anew, from the config and from what earlier runs left.
rule estimate:
    log:
        "<logs>/estimate.log",
    localrule: True
    conda:
        "../envs/ir.yaml"
    params:
        config=CONFIG,
        stem=f"{RESULTS}/estimate",
    message:
        "Estimate jobs, tokens, disk and hours"
    script:
        "../workflow/scripts/estimate.py"
