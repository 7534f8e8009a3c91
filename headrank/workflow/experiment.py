"""An experiment's files: what each rule of the workflow reads and writes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from headrank.workflow.config.layouts import APART, JOINT, read_as, recipe_layout, selection_layout
from headrank.workflow.config.usage import split_method
from headrank.workflow.source_files import SourceFiles

Cell = tuple[str, str, str, str, str]
"""A run: set, model, adapter, order, method; ``-`` where one has no say."""

FIRST = 10
"""Priority of what the training of adapters waits for: it is the longest chain of jobs, and
started last it would leave all but one core idle."""
ADAPTER_FILES = ("headrank.json", "heads.json", "adapter_config.json", "adapter_model.safetensors")
READING = ("attention", "generative")
"""Kinds of methods that read or ask the experiment's models."""


class Experiment(SourceFiles):
    """The files, sets and methods of one checked config: runs, readings, heads and adapters.

    Methods that take ``wildcards`` are input functions and parameters of rules; they read
    the wildcards by name.
    """

    # Runs

    @cached_property
    def cells(self) -> list[Cell]:
        """Every run of the experiment."""
        return list(self._cells())

    def _cells(self) -> Iterator[Cell]:
        for name in self.sets:
            for method in self.methods:
                base = split_method(method)[0]
                if self.declared[base]["kind"] not in READING:
                    yield (name, "-", "-", "-", method)
                    continue
                asked = self.declared[base].get("orders") or self.config["orders"]
                for model in self.model_names:
                    for adapter in self.adapters_of(method):
                        for order in asked:
                            yield (name, model, adapter, order, method)

    @property
    def reads(self) -> bool:
        """Whether a method of the experiment reads or asks a model."""
        return any(cell[1] != "-" for cell in self.cells)

    def run_of(self, cell: Sequence[str]) -> str:
        """Return the path of a cell's run."""
        *folders, name = (part for part in cell if part != "-")
        return str(Path(self.results, "runs", *folders, f"{name}.run"))

    def made_from(self, cell: Cell) -> list[str]:
        """Return what a run was made from, or which processes ranked with their own model.

        Readings, heads and adapter, records of answers, or cards of readers.
        """
        name, model, adapter, order, method = cell
        method = split_method(method)[0]
        kind = self.declared[method]["kind"]
        if kind == "generative":
            return self.generations(name, model, order, method)
        if kind == "dense":
            return [f"{self.results}/runs/{name}/{method}.reader.json"]
        if kind == "cross-encoder":
            return self._reader_cards(name, method)
        if kind != "attention":
            return []
        own = SimpleNamespace(method=method, model=model, adapter=adapter)
        layout = self.layout_of(method)
        if self.declared[method]["truncated"]:
            read = self._reader_cards(f"{name}/{model}/{adapter}/{read_as(layout, order)}", method)
        else:
            read = self.readings([name], model, adapter, order, layout=layout)
        return [*read, *self.ranking_heads(own), *self.adapter_files(own)]

    def _reader_cards(self, cell: str, method: str) -> list[str]:
        folder = f"{self.results}/parts/{cell}/{method}"
        return [f"{folder}/{shard}.reader.json" for shard in range(self.shards[cell.split("/")[0]])]

    def parts_of(self, wildcards: Any) -> list[str]:
        """Return the shards that a run is joined from."""
        cell, _, order = wildcards.cell.rpartition("/")
        if cell:  # else of an encoder, that no order concerns
            order = read_as(self.layout_of(wildcards.method), order)
        folder = str(Path(self.results, "parts", cell, order, wildcards.method))
        number = self.shards[wildcards.cell.split("/")[0]]
        return [f"{folder}/{shard}.run" for shard in range(number)]

    def candidates_of(self, wildcards: Any) -> str:
        """Return the candidates of a cell's set."""
        return f"{self.results}/sets/{wildcards.cell.split('/')[0]}/candidates.run"

    def used_models(self) -> list[str]:
        """Return the models and encoders that the experiment loads."""
        encoders = [self.declared[split_method(m)[0]].get("encoder") for m in self.methods]
        decoders = self.model_names if self.reads else []
        return [*decoders, *dict.fromkeys(name for name in encoders if name)]

    # Readings, heads and adapters

    def readings(
        self,
        sets: Sequence[str],
        model: str,
        adapter: str = "none",
        order: str | None = None,
        *,
        layout: str,
    ) -> list[str]:
        """Return the shards of the readings of some sets; by default in the report's order.

        In a block layout one reading serves every order, and is named by the layout.
        """
        read = read_as(layout, self.report_order if order is None else order)
        return [
            f"{self.results}/readings/{name}/{model}/{adapter}/{read}/{shard}.npz"
            for name in sets
            for shard in range(self.shards[name])
        ]

    def reading_priority(self, wildcards: Any) -> int:
        """Return the priority of a reading: those that heads are selected on go first."""
        profiling = self.config["profiling"]
        first = wildcards.adapter == "none" and wildcards.order in (profiling["order"], *APART)
        return FIRST if first and wildcards.set in profiling["sets"] else 0

    def profiled(self, wildcards: Any) -> list[str]:
        """Return the readings that heads are selected on, of the wildcards' model or adapter."""
        profiling = self.config["profiling"]
        adapter = getattr(wildcards, "adapter", "none")
        layout = getattr(wildcards, "layout", JOINT)
        if adapter != "none":
            layout = recipe_layout(self.config, self.adapters[adapter])
        return self.readings(
            profiling["sets"], wildcards.model, adapter, profiling["order"], layout=layout
        )

    def folded_heads(self, name: str, model: str, adapter: str) -> list[str]:
        """Return the selected heads that a method folds; none for a method of all heads."""
        method = self.declared[name]
        if method["heads"] == "all":
            return []
        if self.serves_both(adapter) and not method["reselect"]:
            # Only the adapter's own copy tells that it serves a second layout, too.
            return [self.adapter_file(model, adapter, "heads.json")]
        profile = f"{model}/aligned/{adapter}" if method["reselect"] else model
        return [f"{self.results}/profiles/{profile}/heads/{method['heads']}.json"]

    def ranking_heads(self, wildcards: Any) -> list[str]:
        """Return the selected heads of a run."""
        return self.folded_heads(wildcards.method, wildcards.model, wildcards.adapter)

    def heads_of(self, methods: Sequence[str], model: str) -> list[str]:
        """Return the files of the selected heads that some methods fold."""
        names = dict.fromkeys(self.declared[name]["heads"] for name in methods)
        return [
            f"{self.results}/profiles/{model}/heads/{name}.json" for name in names if name != "all"
        ]

    def adapter_file(self, model: str, adapter: str, name: str = "headrank.json") -> str:
        """Return one file of an adapter; by default its card."""
        return f"{self.results}/adapters/{model}/{adapter}/{name}"

    def adapter_files(self, wildcards: Any) -> list[str]:
        """Return the files of the adapter that a reading puts into the model."""
        if wildcards.adapter == "none":
            return []
        return [
            self.adapter_file(wildcards.model, wildcards.adapter, name) for name in ADAPTER_FILES
        ]

    def mined_pairs(self, wildcards: Any) -> str:
        """Return the pairs that an adapter is trained on."""
        recipe = self.mined_as[wildcards.adapter.rpartition("-")[0]]
        return f"{self.results}/pairs/{wildcards.model}/{recipe}/pairs.csv"

    def training_input(self, wildcards: Any) -> dict[str, Any]:
        """Return the sets' files, model and heads that a recipe trains with."""
        recipe = self.recipe_of(wildcards)
        files = [self.set_files(name) for name in recipe["training"]]
        kinds = ("queries", "documents", "candidates", "qrels")
        return {
            "sets": [entry[kind] for entry in files for kind in kinds],
            "model": self.model_part(wildcards.model),
            "heads": f"{self.results}/profiles/{wildcards.model}/heads/{recipe['selection']}.json",
        }

    def validation_files(self, wildcards: Any) -> list[str]:
        """Return the files of the set that a recipe validates on."""
        return list(self.set_files(self.recipe_of(wildcards)["validation"]).values())

    def profile(self, model: str, layout: str) -> str:
        """Return the profile of a model's heads in a layout."""
        folder = "" if layout == JOINT else f"{layout}/"
        return f"{self.results}/profiles/{model}/{folder}profile.npz"

    def selection_profile(self, wildcards: Any) -> str:
        """Return the profile that a wildcard ``selection`` is made from."""
        layout = selection_layout(self.config, wildcards.selection)
        return self.profile(wildcards.model, layout)

    # Generation

    def protocol_of(self, method: str) -> dict[str, Any]:
        """Return the settings of a generative method: the arguments of ``GenerativeMethod``."""
        entry = self.declared[method]
        return {key: value for key, value in entry.items() if key not in ("kind", "orders")}

    def generation_limits(self) -> dict[str, Any]:
        """Return the limits of what generative methods ask for."""
        prompt = self.config["prompt"]
        return {k: prompt[k] for k in ("document_tokens", "overlong", "chat") if k in prompt}

    def generations(self, name: str, model: str, order: str, method: str) -> list[str]:
        """Return a method's records on a set; asked passage by passage, order has no say."""
        if self.declared[method]["protocol"] != "listwise":
            order = "first-stage"
        folder = f"{self.results}/generation/{name}/{model}/{order}/{method}"
        return [f"{folder}/{shard}.jsonl" for shard in range(self.shards[name])]

    def generated_cells(self, model: str) -> list[tuple[str, str, str, str]]:
        """Return set, order, method and file of every record needed from a model."""
        found = {}
        for name, own, _, order, method in self.cells:
            if own == model and self.declared.get(method, {}).get("kind") == "generative":
                for path in self.generations(name, model, order, method):
                    listwise = self.declared[method]["protocol"] == "listwise"
                    found[path] = (name, order if listwise else "-", method)
        return [(*cell, path) for path, cell in found.items()]

    def generating_models(self) -> list[str]:
        """Return the models of the experiment that a generative method asks."""
        return [model for model in self.model_names if self.generated_cells(model)]
