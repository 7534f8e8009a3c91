"""The counts that the stages of an estimate share: queries, documents, tokens, shapes, speeds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from headrank.workflow.config.layouts import JOINT, read_as
from headrank.workflow.config.usage import (
    expected_documents,
    expected_queries,
    split_method,
    used_recipes,
)
from headrank.workflow.estimate.terms import UNKNOWN, Known, Shape, Speed, Stage, run_bytes
from headrank.workflow.experiment import Experiment
from headrank.workflow.studies import ablated_cells

# A training step computes a list forwards and then twice as much backwards.
TRAINING_FACTOR = 3


class Plan:
    """What an experiment uses, and how much of it; what nothing tells is NaN.

    Args:
        config: complete, as `headrank.workflow.config.checks.configure` leaves it.
        known: what earlier runs tell.
    """

    def __init__(self, config: Mapping, known: Known) -> None:
        self.config, self.known, self.costs = config, known, config["estimate"]
        self.x = Experiment(config, "results")
        self.candidates, self.budget = config["candidates"], config["prompt"].get("document_tokens")
        # An ablated setting of the experiment's own is a run of it.
        ablated = ablated_cells(self.x) if config["report"]["ablations"] else []
        self.cells = list(dict.fromkeys([*self.x.cells, *ablated]))
        first = used_recipes(config)
        trained = {self.x.adapters[cell[2]] for cell in self.cells if cell[2] in self.x.adapters}
        self.recipes = [*first, *(n for n in self.x.recipes if n in trained and n not in first)]

    def of(self, kind: str) -> list[str]:
        """Return the experiment's methods of a kind."""
        names = dict.fromkeys(split_method(name)[0] for name in self.x.methods)
        return [name for name in names if self.x.declared[name]["kind"] == kind]

    def queries(self, *names: str) -> float:
        """Return the queries of some sets."""
        return self._sum(self.known.queries, expected_queries, names)

    def documents(self, *names: str) -> float:
        """Return the documents of some collections."""
        return self._sum(self.known.documents, expected_documents, names)

    def _sum(self, known: Mapping[str, int], expected: Callable, names: Iterable[str]) -> float:
        counts = [known.get(name, expected(self.config, name)) for name in names]
        return UNKNOWN if None in counts else sum(counts)

    def document_tokens(self, name: str, budget: int | None) -> float:
        """Return the tokens of one document of a set: read, told or guessed, within the budget."""
        collection = self.config["sets"][name]["collection"]
        told = self.known.document_tokens.get(name, self.costs["document_tokens"])
        if told is None:
            told = self.known.corpus_tokens.get(collection)
        return min((value for value in (told, budget) if value is not None), default=UNKNOWN)

    def list_tokens(self, name: str, documents: int, budget: int | None) -> float:
        """Return the prompt tokens of one list: documents, their markers, and the frame."""
        one = self.document_tokens(name, budget) + self.costs["marker_tokens"]
        return documents * one + self.costs["prompt_tokens"]

    def read(self, model: str) -> tuple[Counter, Counter, Counter]:
        """Return how often a model reads each set.

        Without an adapter, with one, and by methods that read for themselves. In a joint prompt
        each order is read, and without an adapter too: studies compare both. Profiled sets are
        read in one order, of each layout whose heads are selected or that a study shows.
        """
        # Each reading once, however many methods fold it; keys keep their order.
        plain, aligned, own, profiled = {}, {}, {}, {}
        for name, of, adapter, order, method in self.cells:
            entry = self.x.declared[split_method(method)[0]]
            if of != model or entry["kind"] != "attention":
                continue
            layout = self.x.layout_of(method)
            order = read_as(layout, order)
            if layout == JOINT or adapter == "none":
                plain[name, order] = None
            if layout == JOINT or entry["heads"] != "all":
                profiled["none", layout] = None
            if adapter != "none":
                aligned[name, adapter, order] = None
            if entry["reselect"]:
                profiled[adapter, layout] = None
            if entry["truncated"]:
                own[name, split_method(method)[0], adapter, order] = None
        plain, aligned, own = (Counter(key[0] for key in found) for found in (plain, aligned, own))
        for adapter, _ in profiled:
            (plain if adapter == "none" else aligned).update(self.config["profiling"]["sets"])
        return plain, aligned, own

    def stage(
        self,
        title: str,
        model: str,
        times: Mapping[str, int],
        one: Callable[[str], tuple[float, float]],
    ) -> Stage:
        """Return jobs, queries, tokens and gigabytes of sets that are read or asked.

        Args:
            times: how often each set is.
            one: returns the tokens of one list of a set, and the bytes that it leaves.
        """
        lists = [(often * self.queries(name), *one(name)) for name, often in times.items()]
        return Stage(
            title,
            model,
            jobs=sum(often * self.x.shards[name] for name, often in times.items()),
            queries=sum(count for count, *_ in lists),
            tokens=sum(count * tokens for count, tokens, _ in lists),
            gigabytes=sum(count * size / 1e9 for count, _, size in lists),
        )

    def run_gigabytes(self, queries: float) -> float:
        """Return the size of runs that rank so many lists."""
        return queries * run_bytes(self.candidates) / 1e9

    def work(self, recipe: Mapping) -> tuple[float, float, float]:
        """Return tokens: of the training lists, read for one adapter, and what that amounts to.

        The last counts tokens of training as many times as `TRAINING_FACTOR`.
        """
        budget, epochs = recipe["document_tokens"], recipe["options"]["epochs"]
        queries = self.queries(*recipe["training"])
        lists = sum(
            self.queries(name) * self.list_tokens(name, recipe["documents"], budget)
            for name in recipe["training"]
        )
        if recipe["queries"] is not None:
            share = min(1.0, recipe["queries"] / queries)
            queries, lists = share * queries, share * lists
        held_out = recipe["validation"]
        held = self.queries(held_out) * self.list_tokens(held_out, self.candidates, budget)
        # Validation reads its lists before the first epoch and after each.
        if recipe["options"]["tokens"] == "query":
            # Documents are read once, at most; the rest takes the queries alone.
            one = self.costs["prompt_tokens"]
            read = lists + held + (epochs + 1) * self.queries(held_out) * one
            trained = epochs * queries * one
        else:
            layouts = 2 if recipe["options"]["both_layouts"] else 1
            read, trained = (epochs + 1) * held, epochs * lists * layouts
        return lists, trained + read, TRAINING_FACTOR * trained + read

    def shape(self, model: str) -> Shape:
        """Return a model's shape: its own, or the assumed one."""
        assumed = self.costs["models"].get(model, {})
        told = Shape(assumed.get("layers", UNKNOWN), assumed.get("heads", UNKNOWN))
        return self.known.shapes.get(model, told)

    def speed(self, model: str, kind: str = "reading") -> Speed:
        """Return a model's speed; what was not measured takes that of reading."""
        found = self.known.speeds.get((kind, model)) or self.known.speeds.get(("reading", model))
        assumed = self.costs["models"].get(model)
        told = Speed(assumed["tokens_per_second"], "assumed") if assumed else Speed(UNKNOWN, "")
        return found or told
