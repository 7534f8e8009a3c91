"""What an experiment will cost, from its config: jobs, tokens, disk and hours of each stage.

Nothing is fetched or run. Sizes are upper bounds where the config only bounds them (a
document's tokens, the layers of an aligned model); hours are those of one device that does
one job after another, so N devices need an N-th. A speed is measured (`headrank.measured`)
or assumed by the config with its source, and each row says which.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from headrank.budget import Known, Shape, Speed, Stage, TrainingWork, list_bytes
from headrank.errors import HeadRankError
from headrank.generation import windows
from headrank.grid import (
    expected_documents,
    expected_queries,
    mined_as,
    read_sets,
    shards,
    split_method,
    used_recipes,
)
from headrank.variants import settings

# A training step computes a list forwards and then twice as much backwards.
TRAINING_FACTOR = 3


def estimate(config: Mapping, known: Known | None = None) -> list[Stage]:
    """Return the stages of an experiment in the order of the data.

    Args:
        config: complete, as `headrank.config.configure` leaves it.
        known: what earlier runs tell.

    Raises:
        HeadRankError: no bound on a document's tokens, or a model whose shape or speed is
            neither known nor assumed; the message names the key.
    """
    plan = _Plan(config, known or Known())
    stages = [*plan.first_stage()]
    for model in config["experiment"]["models"]:
        stages += plan.of_model(model) if plan.attention else []
        stages += [plan.generation(model, name) for name in plan.generative]
    stages += [plan.classification(name) for name in plan.classifying]
    stages += plan.rankings()
    return stages


class _Plan:
    """The counts that the stages share."""

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
                f"estimate.models.{model} is missing: no reading of it was recorded in "
                "results/benchmarks, so its tokens_per_second must be told (with estimate.source)"
            )
        return Speed(assumed["tokens_per_second"], "assumed")

    def first_stage(self) -> list[Stage]:
        """Return the stages before any model: collections and indexes."""
        config, costs = self.config, self.config["estimate"]
        used = [*read_sets(config)]
        for recipe in self.recipes.values():
            used += [*recipe["training"], recipe["validation"]]
        names = dict.fromkeys(config["sets"][name]["collection"] for name in used)
        collections = {name: config["collections"][name] for name in names}
        indexed = {n: c for n, c in collections.items() if c["first_stage"] != "own"}
        documents = {
            name: self.known.documents.get(name, expected_documents(config, name)) for name in names
        }
        speed = self.known.indexing or Speed(costs["documents_per_second"], "assumed")

        def volume(chosen: Iterable[str], size: float) -> float | None:
            counts = [documents[name] for name in chosen]
            return None if None in counts else sum(counts) * size / 1e9

        count = volume(indexed, 1e9)
        hours = None if count is None else count / speed.per_second / 3600
        return [
            Stage(
                "collections",
                "-",
                len(collections),
                gigabytes=volume(collections, costs["document_bytes"]),
                basis="assumed",
            ),
            Stage(
                "indexes",
                "-",
                len(indexed),
                gigabytes=volume(indexed, costs["index_bytes"]),
                hours=hours,
                per_second=speed.per_second,
                basis=speed.basis,
            ),
        ]

    def of_model(self, model: str) -> list[Stage]:
        """Return the stages that load one model."""
        profiled, calibrate = self.config["profiling"]["sets"], self.config["reading"]["calibrate"]
        plain = [(name, self.orders) for name in self.sets] + [(name, 1) for name in profiled]
        stages = [self.readings("readings", model, plain, calibrate)]
        recipes = self.config["alignments"]
        apart = {m["adapter"] for m in self.ablated.values() if "adapter" in m} - {*self.recipes}
        mined, first = set(), mined_as(self.config)
        for name in [*self.recipes, *(name for name in recipes if name in apart)]:
            pairs, trained = self.training(model, name, recipes[name])
            stages += [trained] if first[name] in mined else [pairs, trained]
            mined.add(first[name])
        adapters = sum(len(recipe["seeds"]) for recipe in self.recipes.values())
        if adapters:
            aligned = [(name, self.orders * adapters) for name in self.sets]
            aligned += [(self.report_set, len(recipes[name]["seeds"])) for name in apart]
            known = [*self.attention.values(), *self.ablated.values()]
            chosen = {m["adapter"] for m in known if m["reselect"]}
            again = sum(len(recipes[name]["seeds"]) for name in chosen)
            aligned += [(name, again) for name in profiled]
            stages.append(self.readings("aligned readings", model, aligned, False))
        times = sum(self.seeds(m) for m in self.attention.values() if m["truncated"])
        once = sum(self.seeds(m) for m in self.ablated.values() if m["truncated"])
        if times or once:
            own = [(name, self.orders * times) for name in self.sets] + [(self.report_set, once)]
            # They read as much, at most, and keep only the ranking.
            row = self.readings("truncated rankings", model, own, calibrate)
            stages.append(replace(row, gigabytes=0.0))
        return stages

    def seeds(self, method: Mapping) -> int:
        """Return how many adapters a method is evaluated with; 1 without."""
        if "adapter" not in method:
            return 1
        return len(self.config["alignments"][method["adapter"]]["seeds"])

    def readings(
        self, stage: str, model: str, wanted: list[tuple[str, int]], calibrate: bool
    ) -> Stage:
        """Return the reading of sets, each so many times, by one model."""
        config, documents = self.config, self.config["candidates"]
        budget, shape = config["prompt"].get("document_tokens"), self.shape(model)
        keep = config["reading"]["tokens"] == "all"
        queries, tokens, size, jobs = 0, 0.0, 0.0, 0
        for name, times in wanted:
            jobs += times * shards(config, name)
            count = self.queries([name])
            if count is None or queries is None:
                queries = tokens = size = None
                continue
            inside = documents * self.document_tokens(name, budget)
            one = list_bytes(shape, documents, inside, calibrate=calibrate, keep_tokens=keep)
            queries += times * count
            tokens += times * count * self.list_tokens(name, documents, budget)
            size += times * count * one / 1e9
        speed = self.speed(model, "aligned" if stage.startswith("aligned") else "reading")
        hours = None if tokens is None else tokens / speed.per_second / 3600
        return Stage(
            stage, model, jobs, queries, tokens, size, hours, speed.per_second, speed.basis
        )

    def generation(self, model: str, name: str) -> Stage:
        """Return the answers of one generative method; without a say of order, asked once."""
        config, entry = self.config, self.generative[name]
        ordered = entry["protocol"] == "listwise"
        orders = len(entry["orders"] or config["orders"]) if ordered else 1
        costs, budget = config["estimate"], config["prompt"].get("document_tokens")
        jobs = orders * sum(shards(config, given) for given in self.sets)
        lists = self.queries(self.sets)
        row = Stage(f"generation by {name}", model, jobs)
        if lists is None:
            return replace(row, queries=None, tokens=None, hours=None)
        prompt, new = 0.0, 0
        for given in self.sets:
            document = self.document_tokens(given, budget) + costs["marker_tokens"]
            one = windows.work(entry, config["candidates"], document, costs["prompt_tokens"])
            prompt += orders * self.queries([given]) * one.prompt_tokens
            new += orders * self.queries([given]) * one.new_tokens
        speed = self.known.generation.get((model, name))
        if speed is not None:
            hours = prompt / speed.per_second / 3600
        else:
            speed = self.speed(model, "reading")
            written = new / costs["new_tokens_per_second"]
            hours = (prompt / speed.per_second + written) / 3600
            speed = Speed(prompt / hours / 3600, "assumed")
        return replace(
            row,
            queries=orders * lists,
            tokens=prompt + new,
            hours=hours,
            per_second=speed.per_second,
            basis=speed.basis,
        )

    def classification(self, name: str) -> Stage:
        """Return the scores of a cross-encoder, which reads each passage with the query.

        Its texts are cut at the encoder's own limit alone, so that bounds their tokens.
        """
        config, encoder = self.config, self.classifying[name]["encoder"]
        lists = self.queries(self.sets)
        jobs = sum(shards(config, given) for given in self.sets)
        one = config["candidates"] * config["encoders"][encoder]["max_tokens"]
        tokens = None if lists is None else lists * one
        told = config["estimate"]["models"].get(encoder, {}).get("tokens_per_second")
        hours = None if None in (tokens, told) else tokens / told / 3600
        return Stage(f"scores of {name}", encoder, jobs, lists, tokens, 0.0, hours, told, "assumed")

    def work(self, recipe: Mapping) -> tuple[float, TrainingWork] | None:
        """Return the tokens of the training lists, and the work of one adapter."""
        budget = recipe["document_tokens"]
        tokens = self.tokens(recipe["training"], recipe["documents"], budget)
        held_out = self.tokens([recipe["validation"]], self.config["candidates"], budget)
        if tokens is None or held_out is None:
            return None
        if recipe["queries"] is not None:
            tokens *= min(1.0, recipe["queries"] / self.queries(recipe["training"]))
        epochs = recipe["options"]["epochs"]
        # Validation reads its lists before the first epoch and after each.
        read = (epochs + 1) * held_out
        trained = epochs * tokens
        return tokens, TrainingWork(trained + read, TRAINING_FACTOR * trained + read)

    def training(self, model: str, name: str, recipe: Mapping) -> tuple[Stage, Stage]:
        """Return the mining of a recipe's pairs and the training of its adapters."""
        queries, seeds = self.queries(recipe["training"]), len(recipe["seeds"])
        if queries is not None and recipe["queries"] is not None:
            queries = min(queries, recipe["queries"])
        reading, training = self.speed(model, "reading"), self.speed(model, "training")
        pairs = Stage(f"pairs of {name}", model, 1, queries, **vars(reading))
        trained = Stage(f"training of {name}", model, seeds, queries, **vars(training))
        found = self.work(recipe)
        if found is None:
            return tuple(replace(stage, tokens=None, hours=None) for stage in (pairs, trained))
        tokens, work = found
        return (
            replace(pairs, tokens=tokens, hours=tokens / reading.per_second / 3600),
            replace(
                trained,
                tokens=seeds * work.tokens,
                hours=seeds * work.equivalent / training.per_second / 3600,
            ),
        )

    def rankings(self) -> list[Stage]:
        """Return the cheap rest: one job a run."""
        runs, models = 0, len(self.config["experiment"]["models"])
        for name in self.names:
            entry = self.config["methods"][split_method(name)[0]]
            if entry["kind"] not in ("attention", "generative"):
                runs += len(self.sets)
                continue
            orders = len(entry.get("orders") or self.config["orders"])
            runs += len(self.sets) * models * orders * self.seeds(entry)
        runs += models * sum(self.seeds(entry) for entry in self.ablated.values())
        hours = runs * self.config["estimate"]["seconds_per_run"] / 3600
        return [Stage("rankings", "-", runs, hours=hours, basis="assumed")]


def training_work(config: Mapping, recipe: str, known: Known) -> TrainingWork | None:
    """Return the work of one adapter of a recipe; None if the size of a set is unknown."""
    found = _Plan(config, known).work(config["alignments"][recipe])
    return None if found is None else found[1]
