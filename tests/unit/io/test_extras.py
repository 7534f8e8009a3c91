"""What an extra brings is named with a command that works, before anything else is done."""

import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import headrank
from headrank.cli import main
from headrank.errors import HeadRankError
from headrank.io.extras import EXTRAS, MissingPackage, need
from tests.helpers.command_line import refused

ROOT = Path(__file__).parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# Nothing of these is reached by a command or the library outside the workflow.
WORKFLOW_ALONE = {"figures", "workflow"}


def without(monkeypatch, *modules):
    for name in modules:
        monkeypatch.setitem(sys.modules, name, None)


def test_the_extras_are_those_of_the_project():
    base = set(PROJECT["dependencies"])
    extras = PROJECT["optional-dependencies"]
    assert set(EXTRAS) == set(extras) - WORKFLOW_ALONE
    for extra, brought in EXTRAS.items():
        assert set(brought.values()) == set(extras[extra]) - base, extra


@pytest.mark.parametrize(
    ("arguments", "absent", "command", "extra"),
    [
        ("align no.jsonl --model no --heads no -o a", "peft", '"peft>=0.21"', "align"),
        (
            "align no.jsonl --model no --heads no -o a",
            "pytrec_eval",
            '"pytrec-eval-terrier>=0.5.11"',
            "align",
        ),
        (
            "evaluate no.run --qrels no.tsv",
            "pytrec_eval",
            '"pytrec-eval-terrier>=0.5.11"',
            "evaluation",
        ),
        *[
            ("bm25 --collection no", name, f'"{requirement}"'.replace('"regex"', "regex"), extra)
            for extra in ("retrieval",)
            for name, requirement in EXTRAS[extra].items()
        ],
        ("serve --model no --method icr", "uvicorn", '"uvicorn>=0.54"', "serve"),
    ],
)
def test_a_command_names_what_it_lacks_before_it_reads_anything(
    arguments, absent, command, extra, monkeypatch, capsys
):
    without(monkeypatch, absent)
    said = refused(capsys, arguments.split())
    assert f"run: pip install {command} (HeadRank's extra {extra})" in said
    assert said.count("\n") <= 1 and "unexpected" not in said


def test_several_packages_are_named_at_once(monkeypatch, capsys):
    without(monkeypatch, "bm25s", "numba", "nltk")
    said = refused(capsys, ["bm25", "--collection", "no"])
    assert "`headrank bm25` needs the packages bm25s, numba and nltk, which are not" in said
    assert 'pip install "bm25s>=0.3" "numba>=0.61" "nltk>=3.9" (' in said


def test_other_languages_need_no_stemmer(monkeypatch, capsys):
    without(monkeypatch, "nltk")
    said = refused(capsys, ["bm25", "--collection", "no", "--analyzer", "unicode"])
    assert "nltk" not in said


@pytest.mark.parametrize("command", ["rerank", "encode", "serve"])
def test_an_adapter_needs_peft_before_anything_is_read(command, tmp_path, monkeypatch, capsys):
    without(monkeypatch, "peft")
    (tmp_path / "config.json").write_text("{}")
    arguments = [command, "--model", str(tmp_path), "--adapter", "no"]
    arguments += {"rerank": ["no.jsonl"], "encode": ["no.jsonl", "-o", "s"], "serve": []}[command]
    assert "a ranker with an adapter needs the package peft" in refused(capsys, arguments)


def test_a_gguf_is_not_fetched_where_it_cannot_be_converted(tmp_path, monkeypatch, capsys):
    without(monkeypatch, "gguf")
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: pytest.fail("something was fetched"))
    said = refused(capsys, ["fetch", "smollm2", "--into", str(tmp_path / "r")])
    assert "smollm2: converting a GGUF file needs the package gguf" in said
    assert not (tmp_path / "r").exists()


def test_what_is_fetched_already_needs_nothing(tmp_path, monkeypatch, capsys):
    from headrank.cli import fetch

    without(monkeypatch, "gguf")
    monkeypatch.setattr(fetch, "verify_model", lambda target: None, raising=False)
    target = tmp_path / "models/smollm2"
    target.mkdir(parents=True)
    (target / "headrank.json").write_text("{}")
    said = refused(capsys, ["fetch", "smollm2", "--into", str(tmp_path)])
    assert "gguf" not in said.lower()


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("headrank.evaluation.measures", "pytrec_eval"),
        ("headrank.align.adapter", "peft"),
        ("headrank.first_stage", "numba"),
        ("headrank.adapters.pyterrier", "pyterrier"),
        ("headrank.adapters.langchain", "langchain_core.callbacks"),
    ],
)
def test_a_module_says_so_when_it_is_imported(module, absent, monkeypatch):
    without(monkeypatch, absent)
    monkeypatch.delitem(sys.modules, module, raising=False)
    with pytest.raises(MissingPackage, match=r"run: pip install .* extra") as caught:
        importlib.import_module(module)
    assert isinstance(caught.value, HeadRankError) and isinstance(caught.value, ImportError)


def test_align_heads_asks_before_anything_is_read(monkeypatch):
    without(monkeypatch, "peft")
    with pytest.raises(MissingPackage, match="align_heads needs the package peft"):
        headrank.align_heads("no", None, [], "no")


def test_nothing_is_imported_to_look():
    told = "import sys; from headrank.io.extras import EXTRAS, need\n"
    told += "need('align', 'x'); print({*EXTRAS['align'], 'torch'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"


def test_what_is_there_is_not_refused():
    for extra in ("align", "evaluation", "retrieval", "gguf"):
        need(extra, "this test")
    assert main(["info", "--published"]) == 0


def test_nobody_is_told_to_install_headrank_by_its_bare_name():
    """It is on no package index, where a stranger could take the name."""
    files = [*(ROOT / "headrank").rglob("*.py"), *(ROOT / "docs").glob("*.md")]
    files += [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "examples").glob("*.py")]
    bare = re.compile(r"pip install[^\n]*['\" ]headrank(\[|['\"`\s]|$)", re.M)
    assert [str(file) for file in files if bare.search(file.read_text())] == []
    assert bare.search("pip install 'headrank[serve]'") and bare.search("pip install headrank\n")
