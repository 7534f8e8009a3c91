# Adapter `none` is the model as it came. With an adapter only the layers up to its deepest head are
# computed, and no calibration: its methods fold the query's attention alone.
rule read:
    input:
        unpack(lambda wildcards: set_files(wildcards.set)),
        adapter=adapter_files,
        model=model_part("{model}"),
    output:
        "<results>/readings/{set}/{model}/{adapter}/{order}/{shard}.npz",
    log:
        "<logs>/readings/{set}/{model}/{adapter}/{order}/{shard}.log",
    benchmark:
        "<results>/benchmarks/readings/{set}/{model}/{adapter}/{order}/{shard}.jsonl"
    wildcard_constraints:
        model=one_of(MODELS),
        adapter=one_of(["none", *ADAPTERS]),
    priority: reading_priority
    conda:
        torch_env
    threads: config["reading"]["threads"]
    resources:
        mem_mb=memory,
        runtime=minutes,
        gpu=on_gpu(1),
        gpu_manufacturer=on_gpu("nvidia"),
    params:
        model=weights_of,
        prompt=config["prompt"],
        seed=config["seed"],
        shards=lambda wildcards: SHARDS[wildcards.set],
        calibrate=config["reading"]["calibrate"],
        tokens=config["reading"]["tokens"],
        code=code("read_set"),
    message:
        "Read the heads of {wildcards.model} on {wildcards.set}, order {wildcards.order}, "
        "adapter {wildcards.adapter}, shard {wildcards.shard}"
    script:
        "../workflow/scripts/read_set.py"
