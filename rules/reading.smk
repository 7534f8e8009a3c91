# Adapter `none` is the model as it came. With an adapter only the layers up to its deepest head are
# computed, and no calibration: its methods fold the query's attention alone. Without one the layers
# that the layout's selections and methods may use are.
rule read:
    input:
        lists=experiment.files_of_set,
        adapter=experiment.adapter_files,
        model=experiment.model_part("{model}"),
    output:
        "<results>/readings/{set}/{model}/{adapter}/{order}/{shard}.npz",
    log:
        "<logs>/readings/{set}/{model}/{adapter}/{order}/{shard}.log",
    benchmark:
        "<results>/benchmarks/readings/{set}/{model}/{adapter}/{order}/{shard}.jsonl"
    wildcard_constraints:
        model=one_of(experiment.models),
        adapter=one_of(["none", *experiment.adapters]),
        # A layout that no order changes stands in the order's place.
        order=one_of([*config["orders"], config["profiling"]["order"], *APART]),
    priority: experiment.reading_priority
    conda:
        sizes.torch_env
    threads: config["reading"]["threads"]
    resources:
        mem_mb=sizes.memory,
        runtime=sizes.minutes,
        gpu=sizes.on_gpu(1),
        gpu_manufacturer=sizes.on_gpu("nvidia"),
    params:
        weights=experiment.weights_of,
        prompt=experiment.reading_prompt,
        layers=experiment.reading_layers,
        seed=config["seed"],
        shards=lambda wildcards: experiment.shards[wildcards.set],
        calibrate=config["reading"]["calibrate"],
        tokens=config["reading"]["tokens"],
        max_logits=config["reading"]["max_logits"],
        encode_once=config["reading"]["encode_once"],
        batch_tokens=config["reading"]["batch_tokens"],
        checkpoint=(
            f"{RESULTS}/checkpoints/readings/{{set}}/{{model}}/{{adapter}}/{{order}}/{{shard}}"
        ),
        code=code("read_set"),
    message:
        "Read the heads of {wildcards.model} on {wildcards.set}, order {wildcards.order}, "
        "adapter {wildcards.adapter}, shard {wildcards.shard}"
    script:
        "../workflow/scripts/read_set.py"
