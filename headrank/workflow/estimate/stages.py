"""What an experiment will cost, from its config: jobs, tokens, disk and hours of each stage.

Nothing is fetched or run. Sizes are upper bounds where the config only bounds them (a
document's tokens, the layers of an aligned model); hours are those of one device that does
one job after another, so N devices need an N-th. A speed is measured
(`headrank.workflow.estimate.recorded`) or assumed by the config with its source, and each row says
which.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from headrank.baselines.generation import windows
from headrank.workflow.config.usage import mined_as, shards, split_method
from headrank.workflow.estimate.disk import adapter_bytes, stored
from headrank.workflow.estimate.plan import Plan
from headrank.workflow.estimate.terms import (
    Known,
    Speed,
    Stage,
    TrainingWork,
    list_bytes,
    record_bytes,
    run_bytes,
)

# A training step computes a list forwards and then twice as much backwards.
TRAINING_FACTOR = 3


def estimate(config: Mapping, known: Known | None = None) -> list[Stage]:
    """Return the stages of an experiment in the order of the data.

    Args:
        config: complete, as `headrank.workflow.config.checks.configure` leaves it.
        known: what earlier runs tell.

    Raises:
        HeadRankError: no bound on a document's tokens, or a model whose shape or speed is
            neither known nor assumed; the message names the key.
    """
    plan = _Stages(config, known or Known())
    stages = [*stored(plan)]
    for model in config["experiment"]["models"]:
        stages += plan.of_model(model) if plan.attention else []
        stages += [plan.generation(model, name) for name in plan.generative]
    stages += [plan.classification(name) for name in plan.classifying]
    stages += plan.rankings()
    return stages


class _Stages(Plan):
    """The stages that a model, or the folding of what it read, takes."""

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
            stages.append(replace(row, gigabytes=self.run_gigabytes(row.queries)))
        return stages

    def run_gigabytes(self, queries: int | None) -> float | None:
        """Return the size of runs that rank so many lists."""
        return None if queries is None else queries * run_bytes(self.config["candidates"]) / 1e9

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
            return replace(row, queries=None, tokens=None, gigabytes=None, hours=None)
        prompt, new, size = 0.0, 0, 0.0
        for given in self.sets:
            document = self.document_tokens(given, budget) + costs["marker_tokens"]
            one = windows.work(entry, config["candidates"], document, costs["prompt_tokens"])
            prompt += orders * self.queries([given]) * one.prompt_tokens
            new += orders * self.queries([given]) * one.new_tokens
            answers = 0 if entry["protocol"] == "query-likelihood" else one.passes
            kept = record_bytes(config["candidates"], answers, one.places, one.new_tokens)
            size += orders * self.queries([given]) * kept / 1e9
        speed = self.known.generation.get((model, name))
        if speed is not None:
            hours = prompt / speed.per_second / 3600
        else:
            speed = self.speed(model, "reading")
            # A step writes a token of each list of the batch.
            written = new / (costs["new_tokens_per_second"] * entry["batch"])
            hours = (prompt / speed.per_second + written) / 3600
            speed = Speed(prompt / hours / 3600, "assumed")
        return replace(
            row,
            queries=orders * lists,
            tokens=prompt + new,
            gigabytes=size,
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
        size = self.run_gigabytes(lists)
        return Stage(
            f"scores of {name}", encoder, jobs, lists, tokens, size, hours, told, "assumed"
        )

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
        size = seeds * adapter_bytes(self.config, recipe["options"]) / 1e9
        trained = Stage(
            f"training of {name}", model, seeds, queries, gigabytes=size, **vars(training)
        )
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
        times, models = 0, len(self.config["experiment"]["models"])
        for name in self.names:
            entry = self.config["methods"][split_method(name)[0]]
            if entry["kind"] not in ("attention", "generative"):
                times += 1
                continue
            orders = len(entry.get("orders") or self.config["orders"])
            times += models * orders * self.seeds(entry)
        alone = models * sum(self.seeds(entry) for entry in self.ablated.values())
        runs = times * len(self.sets) + alone
        everywhere, one = self.queries(self.sets), self.queries([self.report_set])
        lists = None if None in (everywhere, one) else times * everywhere + alone * one
        hours = runs * self.config["estimate"]["seconds_per_run"] / 3600
        size = self.run_gigabytes(lists)
        return [Stage("rankings", "-", runs, lists, gigabytes=size, hours=hours, basis="assumed")]


def training_work(config: Mapping, recipe: str, known: Known) -> TrainingWork | None:
    """Return the work of one adapter of a recipe; None if the size of a set is unknown."""
    found = _Stages(config, known).work(config["alignments"][recipe])
    return None if found is None else found[1]
