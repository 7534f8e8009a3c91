# Tables and figures by name: `snakemake table_main figure_heads`.
for target in PRODUCTS:

    rule:
        name:
            target
        input:
            files_of(target),
        localrule: True


# What a list costs each method: the table and the figure.
rule timing:
    input:
        files_of("table_latency"),
        files_of("figure_quality_latency"),
    localrule: True


# One setting changed at a time, beside its method: the table and the figure.
rule ablations:
    input:
        files_of("table_ablations"),
        files_of("figure_ablations"),
    localrule: True
