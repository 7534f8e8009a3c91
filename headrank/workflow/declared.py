"""What one config declares: its models, sets, methods and recipes by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headrank.workflow.config.ablations import settings
from headrank.workflow.config.keys import stored_dtype
from headrank.workflow.config.layouts import (
    APART,
    JOINT,
    default_layout,
    layers_read,
    method_layout,
    prompt_in,
    recipe_layout,
    trained_layouts,
)
from headrank.workflow.config.roles import ROLES, roles
from headrank.workflow.config.shown import shown
from headrank.workflow.config.usage import mined_as, split_method


class Declared:
    """The parts of a checked config by name.

    Methods that take ``wildcards`` are parameters of rules; they read the wildcards by name.

    Args:
        config: checked and filled in by ``headrank.workflow.config.checks.configure``.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.config = config
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
        # What the report shows where the config leaves it open.
        self.report = shown(config)

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
        """Return the sets of these roles that the experiment uses.

        So do methods that stand in the report's panels alone, and ablated settings of any.
        """
        used = {*self.sets, *self.config["profiling"]["sets"]}
        methods = {part for name in self.methods for part in split_method(name)}
        methods |= {*self.report["panels"]}
        methods |= {
            one.method
            for one in settings(self.config)
            if self.config["ablations"][one.factor]["method"] in methods
        }
        trained = {self.declared[name].get("adapter") for name in methods if name}
        for name in trained & {*self.recipes}:
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

    def used_collections(self) -> list[str]:
        """Return the collections of the experiment's sets."""
        names = (self.declared_sets[name]["collection"] for name in self.sets_of(*ROLES))
        return list(dict.fromkeys(names))

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

    def reading_layers(self, wildcards: Any) -> int | None:
        """Return how many layers a reading has; None: all, or those of the wildcard ``adapter``."""
        if wildcards.adapter != "none":
            return None
        order = wildcards.order
        return layers_read(self.config, order if order in APART else JOINT)

    def selection_of(self, name: str) -> dict[str, Any]:
        """Return how heads are selected: the arguments of ``SelectionOptions``."""
        return {k: v for k, v in self.config["selections"][name].items() if k != "layout"}
