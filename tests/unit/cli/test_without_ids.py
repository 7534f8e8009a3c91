"""Lists without a query_id: the query's text decides the shuffled order, the line's number nothing.

So the command, the server and the library rank such a list alike, wherever it stands in a file.
"""

from __future__ import annotations

import csv
import json

import pyarrow as pa
import pytest
from pyarrow import parquet

from headrank.align.forward import HeadReader
from headrank.align.lists import Judged, shuffled
from headrank.align.mine import mine_with_model
from headrank.cli import main
from headrank.cli.inputs import file_lists, labels
from headrank.data.candidates import arrange
from headrank.fitting import LabelledQuery, as_lists, profile_heads
from headrank.models.decoder import load_model
from headrank.options.pairs import PairOptions
from headrank.options.prompt import PromptOptions
from headrank.ranker.ranker import HeadRanker
from tests.helpers import command_line
from tests.helpers import tiny_models as tiny
from tests.helpers.command_line import HEADS, labelled, write
from tests.helpers.serving import running

# pytest finds a fixture by its name in the module that uses it.
heads = command_line.heads
model = command_line.model

ASKED = [f"what does a policy pay {n}" for n in range(6)]


def saved(path, queries, grades=None):
    """Write a list a query, all of the same texts, in the form that the path names."""
    docs = [{"text": text.replace("\n", " ")} for text in tiny.TEXTS]
    if path.suffix == ".jsonl":
        return write(path, [{"query": one, "docs": docs} for one in queries])
    rows = [{"query": one} | document for one in queries for document in docs]
    if path.suffix == ".parquet":
        parquet.write_table(pa.Table.from_pylist(rows), path)
    else:
        with open(path, "w", newline="") as file:
            writer = csv.DictWriter(
                file, ["query", "text"], delimiter="\t" if path.suffix == ".tsv" else ","
            )
            writer.writeheader()
            writer.writerows(rows)
    return str(path)


def ranked(capsys, path, heads, model) -> dict[str, list]:
    """Return ``{query: [(document, score), ...]}`` of the command."""
    assert main(["rerank", path, "--model", model, "--heads", heads, "--quiet"]) == 0
    lines = map(json.loads, capsys.readouterr().out.splitlines())
    return {one["query"]: [(d["id"], d["score"]) for d in one["docs"]] for one in lines}


@pytest.mark.parametrize("form", ["jsonl", "csv", "tsv", "parquet"])
def test_a_list_s_place_in_the_file_changes_nothing(tmp_path, capsys, heads, model, form):
    forth = ranked(capsys, saved(tmp_path / f"a.{form}", ASKED), heads, model)
    back = ranked(capsys, saved(tmp_path / f"b.{form}", ASKED[::-1]), heads, model)
    assert forth == back
    ranker = HeadRanker.from_pretrained(model, HEADS)
    texts = [text.replace("\n", " ") for text in tiny.TEXTS]
    for query in ASKED:
        assert forth[query] == [(one.index, one.score) for one in ranker.rerank(query, texts)]


def test_the_server_s_scores_are_those_of_the_command(tmp_path, capsys, heads, model):
    import httpx

    by_command = ranked(capsys, saved(tmp_path / "a.jsonl", ASKED), heads, model)
    texts = [text.replace("\n", " ") for text in tiny.TEXTS]
    with running(HeadRanker.from_pretrained(model, HEADS)) as server:
        for query in ASKED:
            body = {"query": query, "documents": texts}
            results = httpx.post(f"{server.url}/v1/rerank", json=body, timeout=60).json()["results"]
            assert [(r["index"], r["relevance_score"]) for r in results] == by_command[query]


def test_two_lines_of_one_text_are_told_apart(tmp_path, capsys, heads, model):
    path = saved(tmp_path / "a.jsonl", ["what pays", "what pays"])
    arguments = ["rerank", path, "--model", model, "--heads", heads, "--quiet"]
    assert main(arguments) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["query_id"], second["query_id"]) == ("1", "2")
    assert first["docs"] == second["docs"]
    assert main([*arguments, "--format", "trec"]) == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert names == ["1"] * 6 + ["2"] * 6


def test_an_id_that_is_given_decides(tmp_path):
    """Also one that looks like a line's number: such lists keep the scores that they had."""
    docs = [{"text": text} for text in tiny.TEXTS]
    path = write(tmp_path / "a.jsonl", [{"query": "x", "query_id": n, "docs": docs} for n in "123"])
    orders = [arrange(one.candidates, "shuffled", 13).doc_ids for one in file_lists(path, False)]
    assert orders[0] == ("3", "2", "0", "5", "4", "1")  # the first release's
    assert len(set(orders)) > 1


@pytest.fixture
def unnamed(tmp_path):
    """Return labelled lists without ids, in a file, and the same for Python."""
    entries = [labelled(n) for n in range(8)]
    for entry in entries:
        del entry["query_id"]
        for document in entry["docs"]:
            del document["id"]
    path = write(tmp_path / "labelled.jsonl", entries)
    examples = [
        LabelledQuery(
            one["query"], [d["text"] for d in one["docs"]], [d["grade"] for d in one["docs"]]
        )
        for one in entries
    ]
    return path, examples


def test_profiles_are_those_of_python(tmp_path, model, unnamed):
    path, examples = unnamed
    table = tmp_path / "table.csv"
    arguments = ["--model", model, "-o", str(tmp_path / "heads.json"), "--quiet"]
    assert main(["profile", path, *arguments, "--table", str(table)]) == 0
    profile_heads(model, examples, progress=False).table().to_csv(tmp_path / "own.csv", index=False)
    assert table.read_bytes() == (tmp_path / "own.csv").read_bytes()


def test_training_orders_and_pairs_are_those_of_python(tmp_path, unnamed):
    path, examples = unnamed
    lists = list(file_lists(path, labelled=True))
    command = Judged([one.candidates for one in lists], labels(lists))
    library = as_lists(examples)
    reader = HeadReader.of(load_model(tiny.folder("qwen3")), PromptOptions(), HEADS)
    options = PairOptions(per_query=2)
    found = [mine_with_model(reader, one, options, 13, False).pairs for one in (command, library)]
    places = [[(p.chosen, p.rejected, p.margin) for p in pairs] for pairs in found]
    assert places[0] == places[1]
    for ours, theirs in zip(command.lists, library.lists, strict=True):
        orders = [
            shuffled(one, qrels, [], 13, 1).candidates.doc_ids
            for one, qrels in ((ours, command.qrels), (theirs, library.qrels))
        ]
        assert orders[0] == orders[1]
