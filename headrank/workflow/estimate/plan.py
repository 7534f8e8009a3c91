"""The counts that the stages of an estimate share: queries, documents, tokens, shapes, speeds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import chain

from headrank.errors import HeadRankError
from headrank.workflow.config.ablations import settings
from headrank.workflow.config.layouts import JOINT, method_layout
from headrank.workflow.config.usage import (
    expected_documents,
    expected_queries,
    read_sets,
    shards,
    split_method,
    used_recipes,
)
from headrank.workflow.estimate.terms import UNKNOWN, Known, Shape, Speed, run_bytes

# A training step computes a list forwards and then twice as much backwards.
TRAINING_FACTOR = 3


class Plan:
    """What an experiment uses, and how much of it; what nothing tells is NaN.

    Args:
        config: complete, as `headrank.workflow.config.checks.configure` leaves it.
        known: what earlier runs tell.
    """

    def __init__(self, config: Mapping, known: Known) -> None:
        self.config, self.known = config, known
        self.costs, self.candidates = config["estimate"], config["candidates"]
        experiment, methods = config["experiment"], config["methods"]
        self.sets, self.orders = experiment["sets"], len(config["orders"])
        used = dict.fromkeys(split_method(name)[0] for name in experiment["methods"])
        self.used = {name: methods[name] for name in used}
        # Methods of ablated settings alone: they run on the report's set in one order.
        ablated = settings(config) if config["report"]["ablations"] else []
        self.ablated = {s.method: methods[s.method] for s in ablated if s.method not in used}
        self.report_set = config["report"]["set"] or self.sets[0]
        self.recipes = {name: config["alignments"][name] for name in used_recipes(config)}
        trained = [[*recipe["training"], recipe["validation"]] for recipe in self.recipes.values()]
        self.used_sets = list(dict.fromkeys([*read_sets(config), *chain.from_iterable(trained)]))
        names = dict.fromkeys(config["sets"][name]["collection"] for name in self.used_sets)
        self.collections = {name: config["collections"][name] for name in names}
        decoders = experiment["models"] if self.of("attention") or self.of("generative") else []
        encoders = (m["encoder"] for m in self.used.values() if "encoder" in m)
        # The config's checks keep the names of models and encoders apart.
        both = config["encoders"] | config["models"]
        self.weights = {name: both[name] for name in [*decoders, *encoders]}

    def of(self, kind: str) -> dict[str, Mapping]:
        """Return the experiment's methods of a kind."""
        return {name: method for name, method in self.used.items() if method["kind"] == kind}

    def seeds(self, method: Mapping) -> int:
        """Return how many adapters a method is evaluated with; 1 without."""
        return (
            len(self.config["alignments"][method["adapter"]]["seeds"]) if "adapter" in method else 1
        )

    def queries(self, *names: str) -> float:
        """Return the queries of some sets."""
        return sum(
            _first(self.known.queries.get(n), expected_queries(self.config, n)) for n in names
        )

    def documents(self, *names: str) -> float:
        """Return the documents of some collections."""
        found = ((self.known.documents.get(n), expected_documents(self.config, n)) for n in names)
        return sum(_first(*counts) for counts in found)

    def document_tokens(self, name: str, budget: int | None) -> float:
        """Return the tokens of one document: read, or bounded by the budget."""
        told = self.known.document_tokens.get(name, self.costs["document_tokens"])
        bounds = [value for value in (told, budget) if value is not None]
        if not bounds:
            raise HeadRankError(
                "prompt.document_tokens is null, so nothing bounds a document; set "
                "estimate.document_tokens to what a document has on average"
            )
        return min(bounds)

    def list_tokens(self, name: str, documents: int, budget: int | None) -> float:
        """Return the prompt tokens of one list: documents, their markers, and the frame."""
        one = self.document_tokens(name, budget) + self.costs["marker_tokens"]
        return documents * one + self.costs["prompt_tokens"]

    def lists(
        self,
        times: Iterable[tuple[str, int]],
        tokens: Callable[[str], float],
        size: Callable[[str], float] | None = None,
    ) -> dict[str, float]:
        """Return jobs, queries, tokens and gigabytes of sets that are read or asked.

        Args:
            times: ``(set, how many times)``.
            tokens: those of one list of a set.
            size: bytes that one list of a set leaves; None: the lines of a run.
        """
        counts = [(name, often, often * self.queries(name)) for name, often in times]
        queries = sum(count for *_, count in counts)
        return {
            "jobs": sum(often * shards(self.config, name) for name, often, _ in counts),
            "queries": queries,
            "tokens": sum(count * tokens(name) for name, _, count in counts),
            "gigabytes": (
                self.run_gigabytes(queries)
                if size is None
                else sum(count * size(name) / 1e9 for name, _, count in counts)
            ),
        }

    def times(self, layout: str) -> int:
        """Return how often a set is read in a layout: in each order, or once where none matters."""
        return self.orders if layout == JOINT else 1

    def plain(self) -> list[tuple[str, int]]:
        """Return how often each set is read without an adapter, in all layouts."""
        methods, found = self.of("attention"), []
        of = {name: method_layout(self.config, name) for name in methods}
        for layout in dict.fromkeys(of.values()):
            own = [methods[name] for name in methods if of[name] == layout]
            if layout == JOINT or any("adapter" not in method for method in own):
                found += [(name, self.times(layout)) for name in self.sets]
            if layout == JOINT or any(method["heads"] != "all" for method in own):
                found += [(name, 1) for name in self.config["profiling"]["sets"]]
        return found

    def adapted(self) -> int:
        """Return how often a set is read with an adapter: one a seed, layout and order."""
        read = {
            (method["adapter"], method_layout(self.config, name))
            for name, method in self.of("attention").items()
            if "adapter" in method
        }
        recipes = self.config["alignments"]
        return sum(len(recipes[name]["seeds"]) * self.times(layout) for name, layout in read)

    def run_gigabytes(self, queries: float) -> float:
        """Return the size of runs that rank so many lists."""
        return queries * run_bytes(self.candidates) / 1e9

    def work(self, recipe: Mapping) -> tuple[float, float, float]:
        """Return tokens: of the training lists, read for one adapter, and what that amounts to.

        The last counts tokens of training as many times as `TRAINING_FACTOR`.
        """
        budget, epochs = recipe["document_tokens"], recipe["options"]["epochs"]
        lists = sum(
            self.queries(name) * self.list_tokens(name, recipe["documents"], budget)
            for name in recipe["training"]
        )
        if recipe["queries"] is not None:
            lists *= min(1.0, recipe["queries"] / self.queries(*recipe["training"]))
        held_out = recipe["validation"]
        one = self.queries(held_out) * self.list_tokens(held_out, self.candidates, budget)
        # Validation reads its lists before the first epoch and after each.
        layouts = 2 if recipe["options"]["both_layouts"] else 1
        read, trained = (epochs + 1) * one, epochs * lists * layouts
        return lists, trained + read, TRAINING_FACTOR * trained + read

    def shape(self, model: str) -> Shape:
        """Return a model's shape: its own, or the assumed one."""
        if model in self.known.shapes:
            return self.known.shapes[model]
        why = "the model is not there yet, so its layers, heads and tokens_per_second must be told"
        assumed = self._assumed(model, why)
        return Shape(assumed["layers"], assumed["heads"])

    def speed(self, model: str, kind: str = "reading") -> Speed:
        """Return a model's speed; what was not measured takes that of reading."""
        found = getattr(self.known, kind).get(model) or self.known.reading.get(model)
        why = "no reading of it was recorded here, so its tokens_per_second must be told"
        return found or Speed(self._assumed(model, why)["tokens_per_second"], "assumed")

    def _assumed(self, model: str, why: str) -> Mapping:
        if model not in self.costs["models"]:
            raise HeadRankError(f"estimate.models.{model} is missing: {why} (with estimate.source)")
        return self.costs["models"][model]


def _first(*counts: float | None) -> float:
    """Return the first count that is told, else NaN."""
    return next((count for count in counts if count is not None), UNKNOWN)
