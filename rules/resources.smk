# What jobs ask a machine or a cluster for.

import functools

from headrank.gpu import visible_devices

# The builds of torch. Paths count from the folder of the rules.
TORCH = {True: "../envs/torch-cuda.yaml", False: "../envs/torch-cpu.yaml"}


@functools.cache
def gpu_within_reach():
    """Whether a model whose device is `auto` asks for a GPU: where this machine has one.

    A cluster is asked for one in any case: what starts the workflow there need not have any.
    """
    if workflow.non_local_exec:
        return True
    try:
        workflow.cores
    except WorkflowError:
        return True
    try:
        return bool(visible_devices())
    except HeadRankError:
        return False


def asks_gpu(device):
    """Whether jobs of a model with this device ask for a GPU."""
    return device == "cuda" or (device == "auto" and gpu_within_reach())


def torch_env(wildcards):
    """Conda environment of a model's job: torch for the model's device."""
    return TORCH[asks_gpu(MODELS[wildcards.model]["device"])]


def encoder_env(wildcards):
    """As `torch_env`, for a method's encoder."""
    return TORCH[asks_gpu(encoder_of(wildcards)["device"])]


def on_gpu(value):
    """Resource that a model on a GPU asks for; CPU jobs carry no such key at all."""
    return lambda wildcards: value if asks_gpu(MODELS[wildcards.model]["device"]) else None


def encoder_of(wildcards):
    """How the encoder of a method cuts texts, and where it runs."""
    encoder = config["encoders"][METHODS[wildcards.method]["encoder"]]
    return {key: encoder[key] for key in ("max_tokens", "device")}


def on_encoder_gpu(value):
    """As `on_gpu`, for a method's encoder."""
    return lambda wildcards: value if asks_gpu(encoder_of(wildcards)["device"]) else None


def minutes_of(megabytes):
    """Minutes for a job of this size: loading, reading and downloading grow with it."""
    return max(60, megabytes // 50)


def memory(wildcards, attempt):
    """Megabytes for a job of a model or encoder, more at each attempt."""
    return WEIGHTS[wildcards.model]["memory_mb"] * attempt


def minutes(wildcards, attempt):
    """Minutes that a cluster grants such a job, more at each attempt."""
    return minutes_of(WEIGHTS[wildcards.model]["memory_mb"]) * attempt


def generation_memory(wildcards, attempt):
    """As `memory`; on the CPU each further list of a batch keeps what it read, too."""
    size, batch = memory(wildcards, attempt), METHODS[wildcards.method]["batch"]
    return size if on_gpu(1)(wildcards) else size + size * (batch - 1) // 16


def generation_minutes(wildcards, attempt):
    """As `minutes`, twice as many where answers are written."""
    listwise = METHODS[wildcards.method]["protocol"] == "listwise"
    return minutes(wildcards, attempt) * (2 if listwise else 1)


def encoder_memory(wildcards, attempt):
    """As `memory`, for a method's encoder."""
    return config["encoders"][METHODS[wildcards.method]["encoder"]]["memory_mb"] * attempt


def encoder_minutes(wildcards, attempt):
    """As `minutes`, for a method's encoder."""
    return minutes_of(encoder_memory(wildcards, 1)) * attempt


def collection_memory(wildcards, attempt):
    """As `memory`, for a job that holds a collection."""
    return COLLECTIONS[wildcards.collection]["memory_mb"] * attempt


def collection_minutes(wildcards, attempt):
    """As `minutes`, for a job that holds a collection."""
    return minutes_of(collection_memory(wildcards, 1)) * attempt


def evaluation_minutes(wildcards, attempt):
    """Minutes to evaluate every run: six seconds each are plenty, and some runs are large."""
    return max(60, len(CELLS) // 10) * attempt
