# The code's own speed, on lists made up for it: `snakemake benchmarks`.
rule benchmark:
    input:
        model=model_part("{model}"),
    output:
        "<results>/speed/{model}/{part}.csv",
    log:
        "<logs>/speed/{model}/{part}.log",
    wildcard_constraints:
        model=one_of(MODELS),
        part=one_of(BENCHMARKS),
    conda:
        "../envs/torch-cpu.yaml"
    # A benchmark works with one thread and keeps the others free of jobs.
    threads: all_cores
    resources:
        mem_mb=lambda wildcards, attempt: 2 * memory(wildcards, attempt),
        runtime=minutes,
    params:
        module=lambda wildcards: BENCHMARKS[wildcards.part][0],
        options=lambda wildcards: BENCHMARKS[wildcards.part][1],
        code=[
            code_digest(path, ROOT)
            for path in sorted(
                [*ROOT.glob("benchmarks/*.py"), ROOT / "workflow/scripts/benchmark.py"]
            )
        ],
    message:
        "Benchmark {wildcards.part} on {wildcards.model}"
    script:
        "../workflow/scripts/benchmark.py"


rule benchmark_table:
    input:
        benchmark_parts,
    output:
        report(
            "<results>/tables/benchmarks/{model}.csv",
            caption="../workflow/report/benchmarks.rst",
            category="Tables",
            labels={"table": "benchmarks, {model}"},
        ),
        "<results>/tables/benchmarks/{model}.md",
        "<results>/tables/benchmarks/{model}.tex",
    log:
        "<logs>/tables/benchmarks/{model}.log",
    conda:
        "../envs/figures.yaml"
    params:
        code=code("benchmark_table"),
    message:
        "Tabulate the benchmarks of {wildcards.model}"
    script:
        "../workflow/scripts/benchmark_table.py"


rule benchmark_figure:
    input:
        benchmark_parts,
    output:
        pdf="<results>/figures/{model}/benchmarks.pdf",
        png=report(
            "<results>/figures/{model}/benchmarks.png",
            caption="../workflow/report/benchmarks.rst",
            category="Figures",
            labels={"figure": "benchmarks", "model": "{model}"},
        ),
    log:
        "<logs>/figures/{model}/benchmarks.log",
    conda:
        "../envs/figures.yaml"
    params:
        code=code("benchmark_figure"),
    message:
        "Draw the benchmarks of {wildcards.model}"
    script:
        "../workflow/scripts/benchmark_figure.py"


rule benchmarks:
    input:
        collect(
            "<results>/tables/benchmarks/{model}.{end}",
            model=EXPERIMENT["models"],
            end=["csv", "md", "tex"],
        ),
        collect(
            "<results>/figures/{model}/benchmarks.{end}",
            model=EXPERIMENT["models"],
            end=["pdf", "png"],
        ),
    localrule: True
