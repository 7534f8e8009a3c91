"""What the headrank command says of broken lists, runs, files and models: one line, by number."""

import json
import subprocess
import sys

import pytest

from headrank.cli import main
from tests.helpers import command_line
from tests.helpers import tiny_models as tiny
from tests.helpers.command_line import ROOT, labelled, record, refused, write

# pytest finds a fixture by its name in the module that uses it.
collection = command_line.collection
heads = command_line.heads
model = command_line.model

HOSTILE = {
    "invalid UTF-8": (b'{"query": "caf\xe9", "docs": ["a"]}', "not a line of JSON in UTF-8"),
    "not JSON": (b'{"query": "x", "docs": [', "not a line of JSON in UTF-8"),
    "NaN": (b'{"query": NaN, "docs": ["a"]}', "NaN is no JSON value"),
    "NaN id": (b'{"query": "x", "docs": [{"id": NaN, "text": "a"}]}', "NaN is no JSON value"),
    "infinite": (b'{"query": "x", "docs": [1e999]}', "document 1 is a float"),
    "deep": (b"[" * 100_000, "not a line of JSON"),
    "a list": (b'["x"]', "expected a JSON object, found list"),
    "no query": (b'{"docs": ["a"]}', "'query' is missing"),
    "query of a number": (b'{"query": 3, "docs": ["a"]}', "the query is an int"),
    "empty query": (b'{"query": "  ", "docs": ["a"]}', "the query is empty"),
    "zero documents": (b'{"query": "x", "docs": []}', "there are no passages"),
    "docs of a text": (b'{"query": "x", "docs": "abc"}', "'docs' is not a list"),
    "empty document": (b'{"query": "x", "docs": ["a", "\\n"]}', "passage 2 of 2 is empty"),
    "no text": (b'{"query": "x", "docs": [{"id": "a"}]}', "document 1: 'text' is missing"),
    "typo": (b'{"query": "x", "docs": [{"id": "a", "txt": "b"}]}', "key 'txt' is unknown"),
    "slip": (b'{"query": "x", "docs": ["a"], "queryid": 3}', "did you mean 'query_id'?"),
    "slip in a title": (
        b'{"query": "x", "docs": [{"Title": "a", "text": "b"}]}',
        "document 1: key 'Title' is unknown (did you mean 'title'?)",
    ),
    "two names of docs": (b'{"query": "x", "docs": ["a"], "documents": ["b"]}', "keep one"),
    "two names of one text": (
        b'{"query": "x", "docs": [{"text": "a", "page_content": "b"}]}',
        "document 1: both 'text' and 'page_content' are given; keep one",
    ),
    "a number for a title": (
        b'{"query": "x", "docs": [{"title": 3, "text": "b"}]}',
        "document 1: 'title' is not a text",
    ),
    "twice": (
        b'{"query": "x", "docs": [{"id": "a", "text": "b"}, {"id": "a", "text": "c"}]}',
        "document a is listed twice",
    ),
    "1 and '1'": (
        b'{"query": "x", "docs": [{"id": 1, "text": "b"}, {"id": "1", "text": "c"}]}',
        "document 1 is listed twice",
    ),
    "some ids": (
        b'{"query": "x", "docs": [{"id": "a", "text": "b"}, {"text": "c"}]}',
        "document 2 has no id",
    ),
    "id of a list": (b'{"query": "x", "docs": [{"id": [1], "text": "b"}]}', "[1] is no id"),
    "half a surrogate in an id": (
        b'{"query": "x", "docs": [{"id": "\\udc00", "text": "a"}]}',
        "holds half of a surrogate pair",
    ),
    "half a surrogate in a query id": (
        b'{"query_id": "\\ud800", "query": "x", "docs": ["a"]}',
        "holds half of a surrogate pair",
    ),
    "a key twice": (b'{"query": "x", "query": "y", "docs": ["a"]}', "the key 'query' is given"),
    "a document's key twice": (
        b'{"query": "x", "docs": [{"text": "a", "text": "b"}]}',
        "the key 'text' is given twice; keep one",
    ),
    "invisible document": (
        b'{"query": "x", "docs": ["a", "\\u200b\\ufeff\\u00ad"]}',
        "passage 2 of 2 is empty (it holds invisible characters alone)",
    ),
    "invisible query": ('{"query": "\u2060", "docs": ["a"]}'.encode(), "the query is empty"),
    "endless number": (b'{"query": "x", "docs": [' + b"9" * 5000 + b"]}", "not a line of JSON"),
    "two names of one id": (
        b'{"query": "x", "docs": [{"id": 1, "_id": 2, "text": "a"}]}',
        "document 1: both 'id' and '_id' are given; keep one",
    ),
    "half a surrogate": (b'{"query": "x", "docs": ["a \\ud83d"]}', "half of a surrogate pair"),
    "same query id": (b'{"query_id": "1", "query": "x", "docs": ["a"]}', "stands already at"),
    "too many": (
        json.dumps({"query": "x", "docs": ["policy"] * 900}).encode(),
        "900 documents do not fit the model's context of 1024 tokens even with one token each",
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_lines_are_refused_by_number(tmp_path, capsys, heads, model, case):
    line, message = HOSTILE[case]
    good = json.dumps({"query": "what pays", "docs": list(tiny.TEXTS)}).encode()
    path = tmp_path / "lists.jsonl"
    path.write_bytes(good + b"\n\n" + line + b"\n")
    found = refused(capsys, ["rerank", str(path), "--model", model, "--heads", heads])
    assert f"lists.jsonl:3: {message}" in found or (
        found.startswith(f"headrank: {path}:3: ") and message in found
    )
    assert capsys.readouterr().out == ""


def test_a_run_with_nan_is_refused_by_line(tmp_path, capsys, collection, heads, model):
    path = tmp_path / "bad.run"
    path.write_text("q0 Q0 d1 1 2.0 x\nq0 Q0 d2 2 nan x\n")
    arguments = ["rerank", "--run", str(path), "--collection", str(collection)]
    arguments += ["--model", model, "--heads", heads]
    assert f"{path}:2: score 'nan' is not a finite number" in refused(capsys, arguments)
    path.write_text("q9 Q0 d1 1 2.0 x\n")
    assert "query q9 is not in" in refused(capsys, arguments)
    path.write_text("q0 Q0 d99 1 2.0 x\n")
    assert "d99" in refused(capsys, arguments)


def test_ids_that_a_run_cannot_hold_are_refused(tmp_path, capsys, heads, model):
    docs = [{"id": "a b", "text": "one"}, {"id": "c", "text": "two"}]
    path = write(tmp_path / "lists.jsonl", [{"query": "x", "docs": docs}])
    arguments = ["rerank", path, "--model", model, "--heads", heads]
    assert main([*arguments, "--quiet"]) == 0
    assert '"id": "a b"' in capsys.readouterr().out
    message = refused(capsys, [*arguments, "--format", "trec"])
    assert "lists.jsonl:1: id 'a b' holds white space" in message
    docs[0]["id"] = "a\u200b"
    write(tmp_path / "lists.jsonl", [{"query": "x", "docs": docs}])
    message = refused(capsys, [*arguments, "--format", "trec"])
    assert r"lists.jsonl:1: id 'a\u200b' holds an invisible character" in message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"grade": None}, "document 1: 'grade' is missing"),
        ({"grade": 0.5}, "document 1: grade 0.5 is not a whole number"),
        ({"grade": True}, "document 1: grade True is not a whole number"),
    ],
)
def test_labels_are_checked(tmp_path, capsys, model, change, message):
    entry = labelled(0)
    entry["docs"][0] |= change
    path = write(tmp_path / "labelled.jsonl", [entry])
    arguments = ["profile", path, "--model", model, "-o", str(tmp_path / "h.json")]
    assert message in refused(capsys, arguments)
    assert not (tmp_path / "h.json").exists()


def test_missing_files_and_models_are_told_in_one_line(tmp_path, capsys, heads, model):
    lists = write(tmp_path / "lists.jsonl", [record()])
    arguments = ["rerank", lists, "--model", model, "--heads", heads]
    assert "no such file" in refused(capsys, [*arguments[:-1], str(tmp_path / "no.json")])
    assert "cannot be read" in refused(capsys, ["rerank", str(tmp_path / "no"), *arguments[2:]])
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "no model or saved ranker can be loaded" in refused(
        capsys, ["rerank", lists, "--model", str(empty), "--heads", heads]
    )
    assert "reads selected heads; give heads" in refused(
        capsys, ["rerank", lists, "--model", model]
    )
    (tmp_path / "none.jsonl").write_text("\n")
    assert "there is no list in it" in refused(
        capsys, ["rerank", str(tmp_path / "none.jsonl"), *arguments[2:]]
    )


def test_a_wrong_name_is_told_before_torch_is_imported(tmp_path, heads, model):
    """torch takes seconds to import: a slip in a path should not."""
    (tmp_path / "models" / "small").mkdir(parents=True)
    (tmp_path / "models" / "small" / "config.json").write_text("{}")
    models, lists = str(tmp_path / "models"), write(tmp_path / "lists.jsonl", [record()])
    corpus = write(tmp_path / "corpus.jsonl", [{"doc_id": "a", "text": "b"}])
    good, store = ["--model", model, "--heads", heads], str(tmp_path / "store")
    wrong = {
        "no such file": ["--model", model, "--heads", str(tmp_path / "no.json")],
        "did you mean 'drill/qwen2-0.5b'": ["--model", model, "--heads", "drill/qwen2-0.5"],
        "heads.json: no such file": ["--model", model, "--adapter", str(tmp_path / "no")],
        "reads selected heads; give heads": ["--model", model],
        "it is a file": ["--model", lists, "--heads", heads],
        "give one that does, as these in it do: small": ["--model", models, "--heads", heads],
        "there is no such folder": ["--model", str(tmp_path / "no"), "--heads", heads],
    }
    cases = [
        (message, [*command, *arguments])
        for message, arguments in wrong.items()
        for command in (["rerank", lists], ["serve"], ["encode", corpus, "-o", store])
    ]
    cases += [("no API key is set", ["serve", *good, "--host", "0.0.0.0"])]
    code = (
        "import json, sys\nfrom headrank.cli import main\n"
        "sys.modules['torch'] = None  # an import of it fails\n"
        "for arguments in json.load(sys.stdin):\n    assert main(arguments) == 1\n"
    )
    asked = json.dumps([arguments for _, arguments in cases])
    done = subprocess.run(
        [sys.executable, "-c", code], input=asked, capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    for (message, arguments), line in zip(cases, done.stderr.splitlines(), strict=True):
        assert message in line, (arguments, line)


def test_inputs_of_another_kind_are_told_in_one_line(tmp_path, capsys, collection, heads, model):
    lists = write(tmp_path / "lists.jsonl", [record()])
    arguments = ["rerank", "--model", model, "--heads", heads]
    wide = tmp_path / "wide.jsonl"
    wide.write_bytes((tmp_path / "lists.jsonl").read_text().encode("utf-16"))
    assert "wide.jsonl: not UTF-8 but UTF-16" in refused(capsys, [*arguments, str(wide)])
    folder = f"{tmp_path}: this is a folder"
    assert folder in refused(capsys, [*arguments, str(tmp_path)])
    run = [*arguments, "--run", str(tmp_path), "--collection", str(collection)]
    assert folder in refused(capsys, run)
    judged = ["evaluate", lists, "--qrels", str(tmp_path)]
    assert folder in refused(capsys, judged)
    message = refused(capsys, ["rerank", lists, "--model", model, "--heads", str(tmp_path)])
    assert folder in message
    message = refused(capsys, [*arguments, lists, "--ties", "file-rank"], code=2)
    assert "--ties goes with --run" in message


def test_debug_shows_the_traceback(tmp_path, model):
    from headrank.errors import HeadRankError

    with pytest.raises(HeadRankError, match="cannot be read"):
        main(["rerank", str(tmp_path / "no"), "--model", model, "--debug"])
