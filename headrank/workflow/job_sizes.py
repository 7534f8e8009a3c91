"""What jobs ask a machine or a cluster for: memory, minutes, a GPU, an environment."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from headrank.errors import HeadRankError
from headrank.models.devices import visible_devices
from headrank.workflow.experiment import Experiment

# The builds of torch. Paths count from the folder of the rules.
TORCH = {True: "../envs/torch-cuda.yaml", False: "../envs/torch-cpu.yaml"}


def minutes_of(megabytes: int) -> int:
    """Return minutes for a job of this size: loading, reading and downloading grow with it."""
    return max(60, megabytes // 50)


class JobSizes:
    """Resources of an experiment's rules; each method is a resource function of Snakemake.

    Args:
        cores: returns this run's cores; None where jobs run elsewhere, on a cluster, or not at
            all, for ``snakemake --report``.
    """

    def __init__(self, experiment: Experiment, cores: Callable[[], int | None]) -> None:
        self._x = experiment
        self._cores = cores

    # Devices

    @functools.cached_property
    def gpu_within_reach(self) -> bool:
        """Whether a model whose device is ``auto`` asks for a GPU: where this machine has one.

        A cluster is asked for one in any case: what starts the workflow there need not have
        any.
        """
        if self._cores() is None:
            return True
        try:
            return bool(visible_devices())
        except HeadRankError:
            return False

    def asks_gpu(self, device: str) -> bool:
        """Return whether jobs of a model with this device ask for a GPU."""
        return device == "cuda" or (device == "auto" and self.gpu_within_reach)

    def _model_device(self, wildcards: Any) -> str:
        return self._x.models[wildcards.model]["device"]

    def _encoder_device(self, wildcards: Any) -> str:
        return self._x.encoder_of(wildcards)["device"]

    def torch_env(self, wildcards: Any) -> str:
        """Return the conda environment of a model's job: torch for the model's device."""
        return TORCH[self.asks_gpu(self._model_device(wildcards))]

    def encoder_env(self, wildcards: Any) -> str:
        """Return the same for a method's encoder."""
        return TORCH[self.asks_gpu(self._encoder_device(wildcards))]

    def on_gpu(self, value: Any) -> Callable[[Any], Any]:
        """Return a resource of models on a GPU; CPU jobs carry no such key at all."""
        return lambda wildcards: value if self.asks_gpu(self._model_device(wildcards)) else None

    def on_encoder_gpu(self, value: Any) -> Callable[[Any], Any]:
        """Return the same for a method's encoder."""
        return lambda wildcards: value if self.asks_gpu(self._encoder_device(wildcards)) else None

    def all_cores(self, wildcards: Any) -> int:
        """Return every core of this machine, so that no job disturbs what is timed."""
        return self._cores() or self._x.config["reading"]["threads"]

    # Megabytes and minutes, more at each attempt

    def memory(self, wildcards: Any, attempt: int) -> int:
        """Return megabytes for a job of a model or encoder."""
        return self._x.weights[wildcards.model]["memory_mb"] * attempt

    def minutes(self, wildcards: Any, attempt: int) -> int:
        """Return minutes that a cluster grants such a job."""
        return minutes_of(self.memory(wildcards, 1)) * attempt

    def double_memory(self, wildcards: Any, attempt: int) -> int:
        """Return megabytes for a job that holds more than the model."""
        return 2 * self.memory(wildcards, attempt)

    def long_minutes(self, wildcards: Any, attempt: int) -> int:
        """Return minutes for a training, or for the timing of every method."""
        return 3 * self.minutes(wildcards, attempt)

    def generation_memory(self, wildcards: Any, attempt: int) -> int:
        """Return megabytes; on the CPU each further list of a batch keeps what it read, too."""
        size, batch = self.memory(wildcards, attempt), self._x.declared[wildcards.method]["batch"]
        return size if self.on_gpu(1)(wildcards) else size + size * (batch - 1) // 16

    def generation_minutes(self, wildcards: Any, attempt: int) -> int:
        """Return minutes, twice as many where answers are written."""
        listwise = self._x.declared[wildcards.method]["protocol"] == "listwise"
        return self.minutes(wildcards, attempt) * (2 if listwise else 1)

    def encoder_memory(self, wildcards: Any, attempt: int) -> int:
        """Return megabytes for a job of a method's encoder."""
        encoder = self._x.declared[wildcards.method]["encoder"]
        return self._x.config["encoders"][encoder]["memory_mb"] * attempt

    def encoder_minutes(self, wildcards: Any, attempt: int) -> int:
        """Return minutes for a job of a method's encoder."""
        return minutes_of(self.encoder_memory(wildcards, 1)) * attempt

    def collection_memory(self, wildcards: Any, attempt: int) -> int:
        """Return megabytes for a job that holds a collection."""
        return self._x.collections[wildcards.collection]["memory_mb"] * attempt

    def collection_minutes(self, wildcards: Any, attempt: int) -> int:
        """Return minutes for a job that holds a collection."""
        return minutes_of(self.collection_memory(wildcards, 1)) * attempt

    def report_memory(self, wildcards: Any, attempt: int) -> int:
        """Return megabytes for a job that holds the report's collection."""
        return self._x.collection_of(self._x.report_set)["memory_mb"] * attempt

    def evaluation_minutes(self, wildcards: Any, attempt: int) -> int:
        """Return minutes to evaluate every run: six seconds each, and some runs are large."""
        return max(60, len(self._x.cells) // 10) * attempt
