"""An experiment's files: what each rule of the workflow reads and writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from headrank.collections.beir import source_files
from headrank.collections.layout import file_of
from headrank.report.names import printed
from headrank.sources.pypi import pinned_files
from headrank.workflow.config.keys import stored_dtype
from headrank.workflow.config.layouts import (
    APART,
    JOINT,
    default_layout,
    method_layout,
    prompt_in,
    read_as,
    recipe_layout,
    selection_layout,
    trained_layouts,
)
from headrank.workflow.config.roles import ROLES, roles
from headrank.workflow.config.shown import first_stage_names, shown
from headrank.workflow.config.usage import mined_as, read_sets, shards, split_method, used_recipes
from headrank.workflow.provenance.originals import place

Cell = tuple[str, str, str, str, str]
"""A run: set, model, adapter, order, method; ``-`` where one has no say."""

FIRST = 10
"""Priority of what the training of adapters waits for: it is the longest chain of jobs, and
started last it would leave all but one core idle."""
ADAPTER_FILES = ("headrank.json", "heads.json", "adapter_config.json", "adapter_model.safetensors")
COLLECTION_FILES = ("corpus.jsonl", "queries.jsonl", "qrels.tsv")
OPTIONAL_FILES = ("candidates.run", "excluded.tsv")
INDEX_FILES = (
    "index.json",
    "documents.json",
    "vocab.index.json",
    "params.index.json",
    *(f"{part}.csc.index.npy" for part in ("data", "indices", "indptr")),
)
SET_FILES = ("queries.jsonl", "documents.jsonl", "candidates.run", "qrels.tsv", "set.json")
READING = ("attention", "generative")
"""Kinds of methods that read or ask the experiment's models."""


class Experiment:
    """The files, sets and methods of one checked config.

    Methods that take ``wildcards`` are input functions and parameters of rules; they read
    the wildcards by name.

    Args:
        config: checked and filled in by ``headrank.workflow.config.checks.configure``.
        results: folder of the results.
        stored: whether files lie in an object store. It holds what rules declare and nothing
            else, so a folder whose files are not known beforehand is one output there.
        exists: tells whether a user's file exists; an object store is asked by it.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        results: str,
        *,
        stored: bool = False,
        exists: Callable[[str], bool] = lambda path: Path(path).is_file(),
    ) -> None:
        self.config = config
        self.results = results
        self.stored = stored
        self.exists = exists
        self.models = config["models"]
        self.weights = config["models"] | config["encoders"]
        self.collections = config["collections"]
        self.declared_sets = config["sets"]
        self.declared = config["methods"]
        self.recipes = config["alignments"]
        self.sets: list[str] = config["experiment"]["sets"]
        self.model_names: list[str] = config["experiment"]["models"]
        self.methods: list[str] = config["experiment"]["methods"]
        self.roles = roles(config)
        self.mined_as = mined_as(config)
        self.adapters = {
            f"{name}-{seed}": name
            for name, recipe in self.recipes.items()
            for seed in recipe["seeds"]
        }
        self.pins = {
            archive["file"]: archive
            for entry in [*self.weights.values(), *self.collections.values()]
            for archive in pinned_files(entry["source"])
        }
        self.shards = {name: shards(config, name) for name in read_sets(config)}
        # An object store is asked here: an input function may not.
        self._optional = {
            name: [path for path in self._optional_files(entry["source"]["path"]) if exists(path)]
            for name, entry in self.collections.items()
            if entry["source"]["kind"] == "local"
        }
        # What the report shows where the config leaves it open. A method keyed bm25 may keep the
        # order of an imported run.
        self.report = shown(config)
        named = printed(self.declared, self.report["names"])
        self.report["names"] = first_stage_names(config, self.own_run) | named

    # Parts of the config by name

    @property
    def report_set(self) -> str:
        """The set that the report's studies look at."""
        return self.report["set"] or self.sets[0]

    @property
    def report_order(self) -> str:
        """The prompt order that the report's studies look at."""
        return self.config["evaluation"]["orders"][0]

    def methods_of(self, *kinds: str) -> list[str]:
        """Return the declared methods of these kinds."""
        return [name for name, method in self.declared.items() if method["kind"] in kinds]

    def collection_of(self, name: str) -> Mapping[str, Any]:
        """Return the declared collection of a set."""
        return self.collections[self.declared_sets[name]["collection"]]

    def folded_methods(self) -> list[str]:
        """Return the attention methods that fold readings of all heads."""
        names = self.methods_of("attention")
        return [name for name in names if not self.declared[name]["truncated"]]

    def truncated_methods(self) -> list[str]:
        """Return the attention methods that read for themselves, as a deployment does."""
        names = self.methods_of("attention")
        return [name for name in names if self.declared[name]["truncated"]]

    def used_roles(self) -> dict[str, str]:
        """Return the role of each set that the experiment uses."""
        return {name: self.roles[name] for name in self.sets_of(*ROLES)}

    def sets_of(self, *among: str) -> list[str]:
        """Return the sets of these roles that the experiment uses."""
        used = {*self.sets, *self.config["profiling"]["sets"]}
        for name in used_recipes(self.config):
            used |= {*self.recipes[name]["training"], self.recipes[name]["validation"]}
        return [name for name in self.declared_sets if name in used and self.roles[name] in among]

    def adapters_of(self, method: str) -> list[str]:
        """Return the adapters a method is evaluated with: one a seed of its recipe, or none."""
        recipe = self.declared[split_method(method)[0]].get("adapter")
        if recipe is None:
            return ["none"]
        return [f"{recipe}-{seed}" for seed in self.recipes[recipe]["seeds"]]

    def fold_of(self, name: str) -> dict[str, Any]:
        """Return how a method folds its heads: the arguments of ``headrank.options.fold.Fold``."""
        return {key: self.declared[name][key] for key in ("calibrate", "outliers", "aggregation")}

    def weights_of(self, wildcards: Any) -> dict[str, str]:
        """Return how a model's weights are loaded."""
        return {key: self.models[wildcards.model][key] for key in ("dtype", "device")}

    def format_of(self, wildcards: Any) -> str:
        """Return a model's or encoder's format; ``gguf:DTYPE`` if its weights are dequantised.

        One value for both, so that what is said of GGUF never fetches safetensors again.
        """
        entry = self.weights[wildcards.model]
        form = entry.get("format", "safetensors")
        return f"gguf:{stored_dtype(entry)}" if form == "gguf" else form

    def encoder_of(self, wildcards: Any) -> dict[str, Any]:
        """Return how the encoder of a method cuts texts, and where it runs."""
        encoder = self.config["encoders"][self.declared[wildcards.method]["encoder"]]
        return {key: encoder[key] for key in ("max_tokens", "device")}

    def recipe_of(self, wildcards: Any) -> Mapping[str, Any]:
        """Return the recipe of a wildcard ``recipe``, or of an adapter ``RECIPE-SEED``."""
        name = getattr(wildcards, "recipe", None) or wildcards.adapter.rpartition("-")[0]
        return self.recipes[name]

    def training_prompt(self, wildcards: Any) -> dict[str, Any]:
        """Return the prompt of a recipe's training lists."""
        recipe = self.recipe_of(wildcards)
        name = next(name for name, known in self.recipes.items() if known is recipe)
        prompt = prompt_in(self.config, recipe_layout(self.config, name))
        return prompt | {"document_tokens": recipe["document_tokens"]}

    # Layouts of the prompt

    def layout_of(self, method: str) -> str:
        """Return the layout that an attention method reads in; of others the experiment's."""
        name = split_method(method)[0]
        if self.declared.get(name, {}).get("kind") != "attention":
            return default_layout(self.config)
        return method_layout(self.config, name)

    def serves_both(self, adapter: str) -> bool:
        """Return whether an adapter was trained in both layouts."""
        recipe = self.adapters.get(adapter)
        return recipe is not None and len(trained_layouts(self.config, recipe)) > 1

    def prompt_of(self, wildcards: Any) -> dict[str, Any]:
        """Return the prompt of a wildcard ``method``."""
        return prompt_in(self.config, self.layout_of(wildcards.method))

    def reading_prompt(self, wildcards: Any) -> dict[str, Any]:
        """Return the prompt of a reading, whose wildcard ``order`` may be a layout."""
        order = wildcards.order
        return prompt_in(self.config, order if order in APART else JOINT)

    def selection_of(self, name: str) -> dict[str, Any]:
        """Return how heads are selected: the arguments of ``SelectionOptions``."""
        return {k: v for k, v in self.config["selections"][name].items() if k != "layout"}

    def profile(self, model: str, layout: str) -> str:
        """Return the profile of a model's heads in a layout."""
        folder = "" if layout == JOINT else f"{layout}/"
        return f"{self.results}/profiles/{model}/{folder}profile.npz"

    def selection_profile(self, wildcards: Any) -> str:
        """Return the profile that a wildcard ``selection`` is made from."""
        layout = selection_layout(self.config, wildcards.selection)
        return self.profile(wildcards.model, layout)

    def used_models(self) -> list[str]:
        """Return the models and encoders that the experiment loads."""
        encoders = [self.declared[split_method(m)[0]].get("encoder") for m in self.methods]
        decoders = self.model_names if self.reads else []
        return [*decoders, *dict.fromkeys(name for name in encoders if name)]

    def used_collections(self) -> list[str]:
        """Return the collections of the experiment's sets."""
        names = (self.declared_sets[name]["collection"] for name in self.sets_of(*ROLES))
        return list(dict.fromkeys(names))

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

    # Collections and first stages

    def part_of(self, folder: str, *files: str) -> list[str]:
        """Return what a rule asks for of a made folder: files, of a store the folder itself."""
        return [folder] if self.stored else [f"{folder}/{file}" for file in files]

    def model_part(self, model: str) -> list[str]:
        """Return what a job asks for of a model or encoder."""
        return self.part_of(f"resources/models/{model}", "headrank.json")

    def encoder_part(self, wildcards: Any) -> list[str]:
        """Return what a job asks for of a method's encoder."""
        return self.model_part(self.declared[wildcards.method]["encoder"])

    def collection_part(self, collection: str, *files: str) -> list[str]:
        """Return what a job asks for of a collection."""
        return self.part_of(f"resources/collections/{collection}", *files)

    def origin(self, source: Mapping[str, Any]) -> list[str]:
        """Return the files a model or collection is made from; none if from the network.

        A folder's own time stays when a file in it is overwritten, so its files are named.
        Without any the folder itself is, and Snakemake tells that it is missing. An object
        store can be asked for a whole folder alone.
        """
        if source["kind"] != "local":
            return [f"resources/archives/{archive['file']}" for archive in pinned_files(source)]
        if self.stored:
            return [source["path"]]
        folder = Path(place(source["path"]))
        files = (path for path in folder.rglob("*") if path.is_file())
        # What tools keep beside the weights (.git, .cache) makes no model.
        seen = (p for p in files if not any(n.startswith(".") for n in p.relative_to(folder).parts))
        return sorted(map(str, seen)) or [str(folder)]

    def model_origin(self, wildcards: Any) -> list[str]:
        """Return the files that a model or encoder is made from."""
        return self.origin(self.weights[wildcards.model]["source"])

    def collection_origin(self, wildcards: Any) -> list[str]:
        """Return the files a collection is made from: the archive, or the user's own."""
        source = self.collections[wildcards.collection]["source"]
        if source["kind"] != "local":
            return self.origin(source)
        folder = place(source["path"])
        if self.stored:  # its folders cannot be listed
            own = [f"{folder}/{name}" for name in COLLECTION_FILES]
        else:
            own = source_files(folder)
        return own + self._optional[wildcards.collection]

    def _optional_files(self, folder: str) -> list[str]:
        if self.stored:
            return [f"{folder}/{name}" for name in OPTIONAL_FILES]
        return [str(file_of(place(folder), name)) for name in OPTIONAL_FILES]

    def own_run(self, collection: str) -> bool:
        """Return whether a user's folder brings candidates of its own."""
        return any("candidates.run" in Path(p).name for p in self._optional.get(collection, []))

    def imported(self, collection: str, split: str) -> bool:
        """Return whether a split's first stage was made elsewhere."""
        entry = self.collections[collection]
        if split in entry["runs"] or entry["first_stage"] == "own":
            return True
        return entry["first_stage"] == "auto" and self.own_run(collection)

    def index_files(self, collection: str) -> list[str]:
        """Return the files of a collection's BM25 index, its card first."""
        return [f"resources/indexes/{collection}/{file}" for file in INDEX_FILES]

    def first_stage_source(self, wildcards: Any) -> dict[str, Any]:
        """Return a split's imported run, or the BM25 index; none if the collection has its own."""
        name, split = wildcards.collection, wildcards.split
        if split in self.collections[name]["runs"]:
            return {"run": place(self.collections[name]["runs"][split])}
        if self.imported(name, split):
            return {}
        return {"index": self.index_files(name)}

    # Sets

    def set_files(self, name: str) -> dict[str, str]:
        """Return a set's files: ``queries``, ``documents``, ``candidates``, ``qrels``, ``set``."""
        return {file.split(".")[0]: f"{self.results}/sets/{name}/{file}" for file in SET_FILES}

    def files_of_set(self, wildcards: Any) -> list[str]:
        """Return the files of a wildcard's set."""
        return list(self.set_files(wildcards.set).values())

    def qrels_of(self, names: Sequence[str]) -> list[str]:
        """Return the judgments of some sets."""
        return [self.set_files(name)["qrels"] for name in names]

    def collection_of_set(self, wildcards: Any) -> list[str]:
        """Return what a set asks for of its collection."""
        collection = self.declared_sets[wildcards.set]["collection"]
        return self.collection_part(collection, *COLLECTION_FILES, "collection.json")

    def first_stage_run(self, wildcards: Any) -> str:
        """Return the first stage's run that a set of queries is sampled from."""
        chosen = self.declared_sets[wildcards.set]
        return f"{self.results}/retrieval/{chosen['collection']}/{chosen['split']}.run"

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
