"""The counts that the stages of an estimate share: queries, documents, tokens, shapes, speeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain

from headrank.errors import HeadRankError
from headrank.workflow.config.ablations import settings
from headrank.workflow.config.usage import (
    expected_documents,
    expected_queries,
    read_sets,
    split_method,
    used_recipes,
)
from headrank.workflow.estimate.terms import Known, Shape, Speed


class Plan:
    """What an experiment uses, and how much of it; what nothing tells is None."""

    def __init__(self, config: Mapping, known: Known) -> None:
        self.config, self.known = config, known
        experiment, methods = config["experiment"], config["methods"]
        self.sets, self.orders = experiment["sets"], len(config["orders"])
        self.names = experiment["methods"]
        used = {split_method(name)[0]: methods[split_method(name)[0]] for name in self.names}
        self.attention = {n: m for n, m in used.items() if m["kind"] == "attention"}
        self.generative = {n: m for n, m in used.items() if m["kind"] == "generative"}
        self.classifying = {n: m for n, m in used.items() if m["kind"] == "cross-encoder"}
        self.recipes = {name: config["alignments"][name] for name in used_recipes(config)}
        # Methods of ablated settings alone: they run on the report's set in one order.
        ablated = settings(config) if config["report"]["ablations"] else []
        self.ablated = {s.method: methods[s.method] for s in ablated if s.method not in used}
        self.report_set = config["report"]["set"] or self.sets[0]
        trained = [[*recipe["training"], recipe["validation"]] for recipe in self.recipes.values()]
        self.used_sets = list(dict.fromkeys([*read_sets(config), *chain.from_iterable(trained)]))
        self.collections = list(
            dict.fromkeys(config["sets"][name]["collection"] for name in self.used_sets)
        )
        encoders = dict.fromkeys(m["encoder"] for m in used.values() if "encoder" in m)
        decoders = experiment["models"] if self.attention or self.generative else []
        self.weights = [*decoders, *encoders]

    def queries(self, names: Iterable[str]) -> int | None:
        """Return the queries of some sets, None if one is unknown."""
        counts = [self.known.queries.get(n, expected_queries(self.config, n)) for n in names]
        return None if None in counts else sum(counts)

    def document_tokens(self, name: str, budget: int | None) -> float:
        """Return the tokens of one document: read, or bounded by the budget."""
        told = self.known.document_tokens.get(name, self.config["estimate"]["document_tokens"])
        bounds = [value for value in (told, budget) if value is not None]
        if not bounds:
            raise HeadRankError(
                "prompt.document_tokens is null, so nothing bounds a document; set "
                "estimate.document_tokens to what a document has on average"
            )
        return min(bounds)

    def list_tokens(self, name: str, documents: int, budget: int | None) -> float:
        """Return the prompt tokens of one list: documents, their markers, and the frame."""
        costs = self.config["estimate"]
        one = self.document_tokens(name, budget) + costs["marker_tokens"]
        return documents * one + costs["prompt_tokens"]

    def tokens(self, names: Iterable[str], documents: int, budget: int | None) -> float | None:
        """Return the prompt tokens of all lists of some sets."""
        total = 0.0
        for name in names:
            count = self.queries([name])
            if count is None:
                return None
            total += count * self.list_tokens(name, documents, budget)
        return total

    def shape(self, model: str) -> Shape:
        """Return a model's shape: its own, or the assumed one."""
        assumed = self.config["estimate"]["models"].get(model)
        if model not in self.known.shapes and assumed is None:
            raise HeadRankError(
                f"estimate.models.{model} is missing: the model is not there yet, so its layers, "
                "heads and tokens_per_second must be told (with estimate.source)"
            )
        return self.known.shapes.get(model) or Shape(assumed["layers"], assumed["heads"])

    def speed(self, model: str, kind: str) -> Speed:
        """Return a model's speed; what was not measured takes that of reading."""
        found = getattr(self.known, kind).get(model) or self.known.reading.get(model)
        if found is not None:
            return found
        assumed = self.config["estimate"]["models"].get(model)
        if assumed is None:
            raise HeadRankError(
                f"estimate.models.{model} is missing: no reading of it was recorded here, "
                "so its tokens_per_second must be told (with estimate.source)"
            )
        return Speed(assumed["tokens_per_second"], "assumed")

    def weight(self, name: str) -> Mapping:
        """Return the entry of a model or an encoder; the config's checks keep names apart."""
        return self.config["models"].get(name) or self.config["encoders"][name]

    def documents(self, names: Iterable[str]) -> int | None:
        """Return the documents of some collections, None if one is unknown."""
        counts = [
            self.known.documents.get(name, expected_documents(self.config, name)) for name in names
        ]
        return None if None in counts else sum(counts)

    def seeds(self, method: Mapping) -> int:
        """Return how many adapters a method is evaluated with; 1 without."""
        if "adapter" not in method:
            return 1
        return len(self.config["alignments"][method["adapter"]]["seeds"])
