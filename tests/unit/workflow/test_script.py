"""A script's function gets what its rule declares, by name, or a rule's mistake is told."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake.iocontainers import InputFiles, OutputFiles, Params, Wildcards

from headrank.workflow.script import Folder, arguments, run_job


def named(kind, values):
    """Return one of Snakemake's lists of named items; a list's items share its name."""
    made = kind()
    for name, value in values.items():
        if isinstance(value, list) and kind is not Params:
            start = len(made)
            made.extend(value)
            made._set_name(name, start, end=len(made))
        else:
            made.append(value)
            made._add_name(name)
    return made


def job(tmp_path, *, output=None, wildcards=None, **parts):
    """Return an object as Snakemake gives it to a script."""
    unnamed = isinstance(output, str)
    return SimpleNamespace(
        rule="some",
        log=[str(tmp_path / "job.log")],
        input=named(InputFiles, parts.get("input", {})),
        output=OutputFiles([output]) if unnamed else named(OutputFiles, output or {}),
        params=named(Params, parts.get("params", {})),
        wildcards=named(Wildcards, wildcards or {}),
        threads=3,
    )


def test_each_value_comes_by_its_name_as_the_type_that_is_asked_for(tmp_path):
    def main(
        lists: Folder,
        model: Folder,
        sets: list[Folder],
        heads: str | None,
        adapter: Folder | None,
        table: Path,
        target: str,
        options: dict,
        pairs: list,
        checkpoint: Path,
        shard: int,
        order: str,
        threads: int,
        code: str,
        index: Folder | None = None,
    ): ...

    given = job(
        tmp_path,
        input={
            "lists": ["a/queries.jsonl", "a/qrels.tsv"],
            "model": [str(tmp_path)],
            "sets": ["b/1", "b/2", "c/1"],
            "heads": ["h.json"],
            "adapter": [],
            "table": "t.csv",
            "roles": "roles.json",
            "needed": ["x", "y"],
        },
        output="out/a.npz",
        params={"options": {"k": 1}, "pairs": [["a", "b"]], "checkpoint": "c", "code": "digest"},
        wildcards={"shard": "7", "order": "shuffled", "model": "qwen"},
    )
    assert arguments(main, given) == {
        "lists": Path("a"),
        "model": tmp_path,  # a folder that is there is itself
        "sets": [Path("b"), Path("c")],
        "heads": "h.json",
        "adapter": None,
        "table": Path("t.csv"),
        "target": "out/a.npz",
        "options": {"k": 1},
        "pairs": [["a", "b"]],
        "checkpoint": Path("c"),
        "shard": 7,
        "order": "shuffled",
        "threads": 3,
        "code": "digest",
    }


def test_a_folder_that_is_made_is_named_by_its_files_or_as_a_whole(tmp_path):
    def main(target: Folder): ...

    made = {"target": ["m/card.json", "m/weights"]}
    assert arguments(main, job(tmp_path, output=made)) == {"target": Path("m")}
    # Of an object store it is one output.
    assert arguments(main, job(tmp_path, output={"target": "m"})) == {"target": Path("m")}


def test_a_function_may_take_the_rest(tmp_path):
    def main(target: str, **rest): ...

    given = job(
        tmp_path,
        input={"one": "1", "many": ["2", "3"]},
        output="t",
        params={"seed": 5, "code": "digest"},
    )
    assert arguments(main, given) == {"target": "t", "one": "1", "many": ["2", "3"], "seed": 5}


@pytest.mark.parametrize(
    "parts, told",
    [
        ({"output": "t"}, "rule some: main takes 'run', which the rule does not name"),
        (
            {"output": "t", "input": {"run": "a"}, "params": {"sed": 1}},
            "rule some: main does not take 'sed', which the rule names",
        ),
        (
            {"output": "t", "input": {"run": "a", "qrel": "b"}},
            "rule some: main does not take 'qrel', which the rule names",
        ),
        (
            {"output": "t", "input": {"run": "a"}, "params": {"run": 1}},
            "rule some: main's 'run' is an input and one of params",
        ),
        (
            {"output": "t", "input": {"run": ["a", "b"]}},
            "rule some: main's 'run': one file is expected, and there are 2",
        ),
        (
            {"output": "t", "input": {"run": "a", "lists": ["a/1", "b/1"]}},
            "rule some: main's 'lists': one folder is expected, and the files lie in 2",
        ),
    ],
)
def test_what_rule_and_function_do_not_share_is_told(tmp_path, parts, told):
    def main(run: str, target: str, lists: Folder = None): ...

    with pytest.raises(TypeError) as caught:
        arguments(main, job(tmp_path, **parts))
    assert str(caught.value) == told


def test_a_job_that_went_on_behind_a_killed_one_is_marked_until_it_runs_whole(tmp_path):
    folder, mark = tmp_path / "checkpoints/0", tmp_path / "checkpoints/0.resumed"

    def main(checkpoint: Path):
        shutil.rmtree(checkpoint, ignore_errors=True)

    given = job(tmp_path, params={"checkpoint": str(folder)})
    run_job(main, given)
    assert not mark.exists()
    folder.mkdir(parents=True)
    (folder / "half.npz").touch()
    run_job(main, given)
    assert mark.exists() and not folder.exists()
    run_job(main, given)
    assert not mark.exists()


def test_a_job_keeps_its_log_and_gives_the_device_that_there_is(tmp_path):
    def main(weights: dict):
        print("loaded", file=__import__("sys").stderr)
        return weights

    given = job(tmp_path, params={"weights": {"dtype": "float32", "device": "cpu"}})
    assert run_job(main, given, gpu="weights") == {"dtype": "float32", "device": "cpu"}
    assert (tmp_path / "job.log").read_text() == "loaded\n"
    assert run_job(main, given) == {"dtype": "float32", "device": "cpu"}
