"""What the report shows by itself, and what it says of where candidates come from."""

import pytest

from headrank.workflow.config.shown import (
    first_stage_names,
    first_stage_of,
    other_first_stages,
    shown,
    told_first_stage,
)


def config(methods, **report):
    known = {
        "bm25": {"kind": "first-stage"},
        "icr": {"kind": "attention", "heads": "all"},
        "core": {"kind": "attention", "heads": "core"},
        "untuned": {"kind": "attention", "heads": "graded"},
        "aligned": {"kind": "attention", "heads": "graded", "adapter": "own"},
        "other": {"kind": "attention", "heads": "core", "adapter": "own"},
        "outliers": {"kind": "attention", "heads": "core", "outliers": True},
        "logits": {"kind": "attention", "heads": "graded", "aggregation": "max-logit"},
    }
    for method in known.values():
        if method["kind"] == "attention":
            method.setdefault("outliers", False)
            method.setdefault("aggregation", "sum")
    criteria = {"core": "contrastive", "graded": "graded"}
    return {
        "methods": known,
        "reading": {"tokens": "none", "max_logits": False},
        "experiment": {"methods": methods},
        "selections": {name: {"criterion": value} for name, value in criteria.items()},
        "report": {"method": None, "panels": [], "names": {}} | report,
    }


@pytest.mark.parametrize(
    "methods, method, panels",
    [
        (["bm25"], None, []),
        (["bm25", "icr"], None, ["icr"]),
        (["bm25", "core", "untuned", "untuned+bm25"], "untuned", ["untuned"]),
        (["icr", "core", "untuned", "aligned"], "untuned", ["icr", "untuned", "aligned"]),
        # What an adapter is trained from goes before HeadRank's own selection.
        (["untuned", "core", "other"], "core", ["core", "other"]),
        (["aligned"], None, ["aligned"]),
        # Truncated, they read for themselves what readings do not hold.
        (["outliers", "logits"], None, []),
        (["outliers", "core"], "core", ["core"]),
    ],
)
def test_an_own_experiment_shows_heads_and_panels_by_itself(methods, method, panels):
    found = shown(config(methods))
    assert (found["method"], found["panels"]) == (method, panels)


def test_what_the_config_says_stays():
    given = config(["icr", "untuned"], method="core", panels=["core"])
    assert shown(given) == given["report"]
    assert shown(config(["icr"])) is not config(["icr"])["report"]


def experiment(runs=None, first_stage="auto", evaluated=("exam",)):
    return {
        "collections": {"food": {"runs": runs or {}, "first_stage": first_stage}},
        "sets": {
            "exam": {"collection": "food", "split": "test"},
            "heads": {"collection": "food", "split": "train"},
        },
        "methods": {
            "bm25": {"kind": "first-stage"},
            "core": {"kind": "attention", "heads": "core"},
        },
        "selections": {"core": {}},
        "alignments": {},
        "profiling": {"sets": ["heads"]},
        "experiment": {"sets": list(evaluated), "methods": ["bm25", "core"]},
        "report": {"names": {"exam": "Exam"}},
    }


def no_run(_):
    return False


@pytest.mark.parametrize(
    "runs, first_stage, brings, kind, told, names",
    [
        ({}, "auto", False, "bm25", "First stage: BM25.", {}),
        ({}, "bm25", True, "bm25", "First stage: BM25.", {}),
        (
            {},
            "auto",
            True,
            "own",
            "First stage: the collection's own candidates.",
            {"bm25": "Imported first stage"},
        ),
        (
            {"test": "a.run"},
            "auto",
            False,
            "run",
            "First stage: the imported run a.run.",
            {"bm25": "Imported first stage"},
        ),
    ],
)
def test_the_report_names_the_first_stage_that_it_was(runs, first_stage, brings, kind, told, names):
    given = experiment(runs, first_stage)
    assert first_stage_of(given, "exam", lambda _: brings) == kind
    assert told_first_stage(given, lambda _: brings) == told
    assert first_stage_names(given, lambda _: brings) == names


def test_of_several_first_stages_each_is_told_with_its_sets():
    given = experiment({"test": "a.run"}, evaluated=["exam", "heads"])
    assert told_first_stage(given, no_run) == (
        "First stage: the imported run a.run (Exam); BM25 (heads)."
    )
    assert first_stage_names(given, no_run) == {"bm25": "First stage"}
    given["report"]["names"]["bm25"] = "My run"
    assert first_stage_names(given, no_run) == {}


def test_heads_that_learn_from_another_first_stage_are_told():
    (told,) = other_first_stages(experiment({"test": "a.run"}), no_run)
    assert told == (
        "heads are selected on BM25's candidates (set heads), and an imported run's candidates "
        "are reranked; a run for collections.food.runs.train makes them alike"
    )
    assert not list(other_first_stages(experiment(), no_run))
    without = experiment({"test": "a.run"})
    without["experiment"]["methods"] = ["bm25"]
    assert not list(other_first_stages(without, no_run))
    assert not list(other_first_stages(experiment({"test": "a", "train": "b"}), no_run))
