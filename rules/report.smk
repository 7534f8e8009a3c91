# Tables and figures: a rule for each entry of the registry, and a target for each name.
from headrank.workflow import claimed
from headrank.workflow.products import PRODUCTS, target_files, targets

for product in PRODUCTS.values():

    rule:
        name:
            product.rule
        input:
            unpack(partial(product.inputs, experiment)),
        output:
            product.patterns(RESULTS)[:-1],
            report(
                product.patterns(RESULTS)[-1],
                caption=f"../workflow/report/{product.caption}.rst",
                category=f"{product.kind.capitalize()}s",
                labels=partial(product.labels, experiment),
            ),
        log:
            f"<logs>/{product.kind}s/{product.stem}.log",
        wildcard_constraints:
            **product.constraints(experiment, one_of),
        conda:
            "../envs/figures.yaml"
        params:
            product=product.rule,
            options=partial(product.options, experiment),
            of=partial(product.of, experiment),
            code=code_digest(ROOT / product.module, ROOT),
        message:
            product.message
        script:
            "../workflow/scripts/make_product.py"


# `snakemake table_main figure_heads`. What an experiment lacks for one is told when it is asked
# for, so that a config with less still plans everything else.
for target in targets():

    rule:
        name:
            target
        input:
            told(target_files, experiment, target),
        localrule: True


# What a list costs each method: the table and the figure.
rule timing:
    input:
        told(target_files, experiment, "table_latency"),
        told(target_files, experiment, "figure_quality_latency"),
    localrule: True


# One setting changed at a time, beside its method: the table and the figure.
rule ablations:
    input:
        told(target_files, experiment, "table_ablations"),
        told(target_files, experiment, "figure_ablations"),
    localrule: True


# The code's own speed: the table and the figure.
rule benchmarks:
    input:
        told(target_files, experiment, "table_benchmarks"),
        told(target_files, experiment, "figure_benchmarks"),
    localrule: True


# What this run measured of each public claim of the paper.
rule claims:
    input:
        unpack(told(claimed.claim_inputs, experiment)),
    output:
        csv="<results>/claims.csv",
        md="<results>/claims.md",
        html=report(
            "<results>/claims.html",
            caption="../workflow/report/claims.rst",
            category="Tables",
            labels={"table": "claims of the paper"},
        ),
    log:
        "<logs>/claims.log",
    conda:
        "../envs/ir.yaml"
    params:
        setup=claimed.claim_setup(experiment),
        followed=claimed.followed_models(experiment),
        cards=claimed.claim_cards(experiment),
        heads=claimed.claim_heads(experiment),
        command=provenance.command("claims"),
        code=code("claims"),
    message:
        "Judge the claims of the paper"
    script:
        "../workflow/scripts/claims.py"
