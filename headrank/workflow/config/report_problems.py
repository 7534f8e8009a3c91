"""What is wrong in what a config measures and shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from headrank.workflow.config.causes import Unknown
from headrank.workflow.config.usage import split_method, unrecorded, used_selections

ALIGNED = "experiment.methods with an adapter"


def evaluation_problems(config: Mapping) -> Iterator[str]:
    evaluation, methods = config["evaluation"], config["experiment"]["methods"]
    if evaluation["main"] not in evaluation["measures"]:
        measures = evaluation["measures"]
        yield Unknown("evaluation.main", evaluation["main"], measures, "evaluation.measures")
    for number, order in enumerate(evaluation["orders"]):
        if order not in config["orders"]:
            yield Unknown(f"evaluation.orders.{number}", order, config["orders"], "orders")
    for number, pair in enumerate(evaluation["comparisons"]):
        for name in pair:
            if name not in methods:
                path = f"evaluation.comparisons.{number}"
                yield Unknown(path, name, methods, "experiment.methods")
                continue
            base = split_method(name)[0]
            asked = config["methods"].get(base, {}).get("orders") or config["orders"]
            # An order that no method has is told above.
            known = [order for order in evaluation["orders"] if order in config["orders"]]
            absent = [order for order in known if order not in asked]
            if absent:
                yield (
                    f"evaluation.comparisons.{number} names {name}, which has no run in order "
                    f"{absent[0]} of evaluation.orders; allowed: methods whose orders hold it "
                    f"(methods.{base}.orders)"
                )


def report_problems(config: Mapping) -> Iterator[str]:
    report, experiment, methods = config["report"], config["experiment"], config["methods"]
    if report["set"] not in (None, *experiment["sets"]):
        yield Unknown("report.set", report["set"], experiment["sets"], "experiment.sets")
    if report["baseline"] not in (None, *experiment["methods"]):
        name = report["baseline"]
        yield Unknown("report.baseline", name, experiment["methods"], "experiment.methods")
    for number, name in enumerate(report["controls"]):
        if name not in experiment["methods"]:
            path = f"report.controls.{number}"
            yield Unknown(path, name, experiment["methods"], "experiment.methods")
    aligned = [name for name in experiment["methods"] if methods.get(name, {}).get("adapter")]
    if report["claims"] not in (None, *aligned):
        yield Unknown("report.claims", report["claims"], aligned, ALIGNED)
    for number, name in enumerate(report["learning_curve"]):
        if name not in aligned:
            yield Unknown(f"report.learning_curve.{number}", name, aligned, ALIGNED)
    if report["ablations"] and not config["ablations"]:
        yield "report.ablations is true; allowed: false, since ablations is {} (or declare some)"
    attention = sorted(name for name, entry in methods.items() if entry["kind"] == "attention")
    selected = [name for name in attention if methods[name]["heads"] != "all"]
    if report["method"] not in (None, *selected):
        yield Unknown("report.method", report["method"], selected, "methods")
    for number, name in enumerate(report["panels"]):
        if name not in attention:
            yield Unknown(f"report.panels.{number}", name, attention, "methods")
    for path, name in (
        ("report.method", report["method"]),
        *((f"report.panels.{number}", name) for number, name in enumerate(report["panels"])),
    ):
        # Of methods that are not truncated it is told already.
        own = name in attention and methods[name]["truncated"]
        lacking = unrecorded(config, name) if own else None
        if lacking is not None:
            needed = {"tokens": "'all'", "max_logits": "true"}[lacking]
            yield (
                f"{path} is {name!r}; allowed: another method, since its figures fold readings "
                f"and these lack what it folds (set reading.{lacking} to {needed})"
            )
    shown = {report["method"], *report["panels"]} & set(selected)
    if shown and not config["profiling"]["sets"] and not used_selections(config):
        yield (
            "profiling.sets is []; allowed: at least one set of role profiling, since the report "
            f"shows the heads of {', '.join(sorted(shown))}"
        )


def group_problems(config: Mapping) -> Iterator[str]:
    """Yield what is wrong with the groups of sets that the main table shows as one column."""
    sets, known = config["experiment"]["sets"], {}
    for group, members in config["report"]["groups"].items():
        path = f"report.groups.{group}"
        if group in config["sets"] or group == "average":
            yield f"{path} has the name of a set or of the average; choose another"
        for number, name in enumerate(members):
            if name not in sets:
                yield Unknown(f"{path}.{number}", name, sets, "experiment.sets")
            elif known.setdefault(name, group) != group:
                yield f"{path}.{number} is {name!r}, which stands in {known[name]}; allowed: once"
