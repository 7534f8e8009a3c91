from headrank.workflow import timed


# What a list costs each method, by the path a deployment takes: a truncated model, selected heads.
# `snakemake timing`; with `report.latency` every run. A job a model: its methods are timed one after
# the other in one process, so their costs compare, and what they import is loaded once.
rule latency:
    input:
        lists=experiment.lists_of(experiment.report_set),
        model=experiment.model_part("{model}"),
        needed=lambda wildcards: timed.timed_files(experiment, wildcards.model),
    output:
        "<results>/latency/{model}.csv",
    log:
        "<logs>/latency/{model}.log",
    wildcard_constraints:
        model=one_of(experiment.model_names),
    conda:
        sizes.torch_env
    # The work takes `reading.threads`; the other cores are kept free of jobs.
    threads: sizes.all_cores
    resources:
        mem_mb=sizes.double_memory,
        runtime=sizes.long_minutes,
        gpu=sizes.on_gpu(1),
        gpu_manufacturer=sizes.on_gpu("nvidia"),
    params:
        weights=experiment.weights_of,
        order=experiment.report_order,
        seed=config["seed"],
        threads=config["reading"]["threads"],
        systems=lambda wildcards: timed.timed_systems(experiment, wildcards.model),
        number=config["latency"]["lists"],
        rounds=config["latency"]["rounds"],
        code=code("latency"),
    message:
        "Time the methods of {wildcards.model}"
    script:
        "../workflow/scripts/latency.py"


rule latency_first_stage:
    input:
        lists=experiment.lists_of(experiment.report_set),
        index=timed.report_index(experiment),
    output:
        "<results>/latency/first-stage.csv",
    log:
        "<logs>/latency/first-stage.log",
    conda:
        "../envs/ir.yaml"
    threads: sizes.all_cores
    resources:
        mem_mb=sizes.report_memory,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        method=(timed.timed_methods(experiment, "first-stage") or [None])[0],
        depth=config["first_stage"]["depth"],
        latency=config["latency"],
        code=code("latency_first_stage"),
    message:
        "Time the first stage"
    script:
        "../workflow/scripts/latency_first_stage.py"


# The code's own speed, on lists made up for it: `snakemake benchmarks`.
rule benchmark:
    input:
        model=experiment.model_part("{model}"),
    output:
        "<results>/speed/{model}/{part}.csv",
    log:
        "<logs>/speed/{model}/{part}.log",
    wildcard_constraints:
        model=one_of(experiment.models),
        part=one_of(timed.BENCHMARKS),
    conda:
        "../envs/torch-cpu.yaml"
    # A benchmark works with one thread and keeps the others free of jobs.
    threads: sizes.all_cores
    resources:
        mem_mb=sizes.double_memory,
        runtime=sizes.minutes,
    params:
        module=lambda wildcards: timed.BENCHMARKS[wildcards.part][0],
        options=lambda wildcards: timed.BENCHMARKS[wildcards.part][1],
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
