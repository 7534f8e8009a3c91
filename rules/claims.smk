# What this run measured of each public claim of the paper.
rule claims:
    input:
        unpack(claim_inputs),
    output:
        csv=report(
            "<results>/claims.csv",
            caption="../workflow/report/claims.rst",
            category="Tables",
            labels={"table": "claims of the paper"},
        ),
        md="<results>/claims.md",
    log:
        "<logs>/claims.log",
    conda:
        "../envs/ir.yaml"
    params:
        setup=claim_setup() if CLAIMED else None,
        followed=followed_models(),
        cards=claim_cards() if CLAIMED else None,
        heads=claim_heads() if CLAIMED else None,
        command=call_of("claims"),
        code=code("claims"),
    message:
        "Judge the claims of the paper"
    script:
        "../workflow/scripts/claims.py"
