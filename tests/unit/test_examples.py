"""The examples run, on tiny models."""

from __future__ import annotations

import runpy
import sys

import pytest

from headrank.collections.collection import save_collection
from headrank.collections.layout import Document, Query
from headrank.collections.parts import Parts
from headrank.data.heads import Head, HeadSet
from headrank.data.trec import Qrels
from tests.helpers import tiny_models as tiny


@pytest.fixture
def run(root, monkeypatch, capsys):
    """Return a function that runs an example with arguments and gives what it printed."""

    def call(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        runpy.run_path(str(root / "examples" / name), run_name="__main__")
        return capsys.readouterr().out.splitlines()

    return call


def test_rerank_passages(run, tmp_path):
    HeadSet((Head(1, 2),)).save(tmp_path / "heads.json")
    for more in ((), ("--heads", tmp_path / "heads.json")):
        lines = run("rerank_passages.py", "--model", tiny.folder("llama"), *more)
        assert [line[:2] for line in lines] == ["1.", "2.", "3.", "4.", "5."]


def test_align_own_queries(run, tmp_path):
    texts = [f"{text} number{n}" for n, text in enumerate(tiny.TEXTS * 3)]
    save_collection(
        tmp_path / "collection",
        Parts(
            [Document(f"d{n}", "", text) for n, text in enumerate(texts)],
            [Query(f"q{n}", f"what of the policy number{n}", "train") for n in range(18)],
            Qrels({f"q{n}": {f"d{n}": 1} for n in range(18)}),
            {"source": "the tests"},
        ),
    )
    lines = run(
        "align_own_queries.py",
        *("--model", tiny.folder("llama"), "--collection", tmp_path / "collection"),
        *("--queries", 18, "--heads", 2, "--adapter", tmp_path / "adapter"),
    )
    assert lines[0].startswith("heads (layer, head): (")
    assert lines[1].startswith("nDCG@10 as it came: ")
    assert lines[2].startswith("nDCG@10 aligned: ")
    assert (tmp_path / "adapter-ranker/ranker.json").is_file()
