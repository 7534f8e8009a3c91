"""What the documents print runs, as printed, in a folder like a reader's."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import re
import shlex
import shutil
import subprocess
import sys

import pytest
import yaml

from tests.workflow import printed, snakemake_server
from tests.workflow.running import ROOT, environment

pytestmark = pytest.mark.slow

NEEDED = [ROOT / f"resources/{name}" for name in ("models/smollm2", "collections/insuranceqa")]
BLOCKS = list(printed.blocks())
TEXTS = [
    "A bike that is stolen from a rack in town is covered, less the deductible.",
    "Most people pay between 15 and 30 dollars a month for renters insurance.",
    "Money in a roth IRA was taxed already, so withdrawals are free of tax.",
    "Term life insurance pays the beneficiary if the insured dies in the term.",
]
# Files that a reader makes of printed blocks, and a word that only the block holds.
OWN_CONFIGS = {"config/mine.yaml": "data/mine", "config/scifact.yaml": "beir/scifact/test"}
QUERIES = ["Is a stolen bike covered?", "What does renters insurance cost?", "Is an IRA taxed?"]


def records(graded: bool) -> str:
    """Return lists of passages as JSONL, the passage that answers with the highest grade."""
    lines = []
    for number, query in enumerate(QUERIES * 4):
        docs = [{"id": f"d{place}", "text": text} for place, text in enumerate(TEXTS)]
        for place, document in enumerate(docs if graded else []):
            document["grade"] = int(place == number % len(QUERIES))
        lines.append({"query_id": f"q{number}", "query": f"{query} ({number})", "docs": docs})
    return "".join(json.dumps(line) + "\n" for line in lines)


def own_collection(folder) -> None:
    """Write a collection as README describes it, with queries of two splits."""
    folder.mkdir(parents=True)
    parts = {
        "corpus.jsonl": [{"doc_id": f"d{i}", "title": "", "text": t} for i, t in enumerate(TEXTS)],
        "queries.jsonl": [
            {"query_id": f"q{i}", "text": f"{query} ({split})", "split": split}
            for i, (query, split) in enumerate([(q, s) for s in ("train", "test") for q in QUERIES])
        ],
    }
    for name, lines in parts.items():
        (folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
    grades = (f"q{number} 0 d{number % len(QUERIES)} 1\n" for number in range(2 * len(QUERIES)))
    (folder / "qrels.tsv").write_text("".join(grades))


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    """Return a folder with what the documents ask a reader to have."""
    if absent := [path.name for path in NEEDED if not path.exists()]:
        pytest.skip(f"{' and '.join(absent)} are not fetched; make test does so")
    folder = printed.folder_of_a_reader(tmp_path_factory.mktemp("reader"))
    own_collection(folder / "data/mine")
    (folder / "labelled.jsonl").write_text(records(graded=True))
    (folder / "lists.jsonl").write_text(records(graded=False))
    shutil.copy(folder / "data/mine/corpus.jsonl", folder)
    for name, word in OWN_CONFIGS.items():
        (block,) = [b for b in BLOCKS if word in b.text and b.language == "yaml"]
        (folder / name).write_text(block.text)
    return folder


def run(folder, command: str, *, rc: int = 0) -> str:
    """Run a command in the reader's folder and environment; return what it printed."""
    made = environment() | {"HF_HUB_OFFLINE": "1", "PYTHONPATH": str(folder)}
    program, *arguments = shlex.split(command)
    if program == "snakemake" and not set(command) & set("|<>;&$*"):
        # The server's library is that of which the reader's folder is a copy.
        result = snakemake_server.run(arguments, made, folder)
        assert result.returncode == rc, f"{command}\n{result.stdout[-3000:]}"
        return result.stdout
    result = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=made,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert result.returncode == rc, f"{command}\n{result.stdout[-3000:]}"
    return result.stdout


def try_out(folder, command: str) -> None:
    """Run a command by its rule."""
    rule = printed.rule_of(command)
    assert rule is not None, f"no rule of tests/workflow/printed.py says how to run: {command}"
    written = rule.written(command)
    if rule.how == "plan":
        run(folder, f"{written} {'-n' if written.startswith('make') else '--dry-run --quiet all'}")
    elif rule.how == "run":
        run(folder, written)


def ids(items):
    return [item.place for item in items]


def test_every_block_is_of_a_known_language_and_every_rule_has_its_reason():
    assert {block.language for block in BLOCKS} <= printed.LANGUAGES
    assert all(rule.reason for rule in printed.RULES if rule.how != "run")
    assert {rule.how for rule in printed.RULES} == {"run", "plan", "leave"}


SHELL = [block for block in BLOCKS if block.language == "sh"]


@pytest.mark.parametrize("block", SHELL, ids=ids(SHELL))
def test_a_block_of_commands_runs(block, reader):
    assert printed.commands(block), f"{block.place}: no command"
    for command in printed.commands(block):
        try_out(reader, command)


def test_modules_that_commands_run_are_there():
    printed_commands = [c for block in SHELL for c in printed.commands(block)]
    printed_commands += [one.text for one in printed.sentences()]
    modules = {m for c in printed_commands for m in re.findall(r"python -m ([\w.]+)", c)}
    ours = {name for name in modules if name.split(".")[0] in ("benchmarks", "headrank")}
    assert ours
    for name in ours:
        assert (ROOT / f"{name.replace('.', '/')}.py").is_file(), name


ONCE = {one.text: one for one in reversed(list(printed.sentences()))}


@pytest.mark.parametrize("command", ONCE.values(), ids=ids(ONCE.values()))
def test_a_command_in_a_sentence_runs(command, reader):
    try_out(reader, command.text)


CODE = [block for block in BLOCKS if block.language == "python"]


@pytest.mark.parametrize("block", CODE, ids=ids(CODE))
def test_a_block_of_python_runs_and_prints_what_stands_below_it(block, reader, tmp_path):
    script = tmp_path / "block.py"
    script.write_text(block.text)
    shown = run(reader, f"{sys.executable} {script} 2>/dev/null")
    told, numbers = split(shown)
    expected, values = split(block.after)
    if block.after:
        assert told == expected
        # Another processor may round bfloat16 otherwise.
        assert numbers == pytest.approx(values, abs=0.11)


def split(text: str) -> tuple[list[str], list[float]]:
    """Return a text's words without its decimal numbers, and those numbers."""
    number = re.compile(r"(?<![\w.])-?\d+\.\d+(?![\w.])")
    return number.sub("#", text).split(), [float(found) for found in number.findall(text)]


MAPPINGS = [block for block in BLOCKS if block.language == "yaml"]


@pytest.mark.parametrize("block", MAPPINGS, ids=ids(MAPPINGS))
def test_a_block_of_yaml_is_a_config_or_a_part_of_one(block, reader, tmp_path):
    part = tmp_path / "part.yaml"
    part.write_text(block.text)
    whole = "models" in yaml.safe_load(block.text)
    files = [str(part)] if whole else ["config/config.yaml", str(part)]
    run(reader, f"snakemake --cores 1 --dry-run --quiet all --configfile {' '.join(files)}")


CALLS = [call for call in printed.calls() if re.match(r"[A-Z]\w*[.(]", call.text)]


@pytest.mark.parametrize("call", CALLS, ids=ids(CALLS))
def test_a_call_in_a_sentence_has_arguments_that_are_taken(call):
    node = ast.parse(call.text, mode="eval").body
    assert isinstance(node, ast.Call), call.text
    name, *attributes = ast.unparse(node.func).split(".")
    module = printed.defined_in(name)
    if module is None:
        pytest.fail(f"{call.place}: nothing of ours is called {name}")
    function = getattr(importlib.import_module(module), name)
    for attribute in attributes:
        function = getattr(function, attribute)
    positional = [None for _ in node.args]
    inspect.signature(function).bind_partial(
        *positional, **{keyword.arg: None for keyword in node.keywords}
    )


def test_the_rules_would_refuse_a_command_that_none_of_them_knows():
    assert printed.rule_of("rm -rf results") is None
    assert printed.rule_of("snakemake estimate --configfile config/paper.yaml").how == "run"
    assert printed.rule_of("snakemake ablations").how == "plan"
