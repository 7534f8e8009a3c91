"""What tests of the headrank command give it, and the one line in which it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from headrank.cli import main
from headrank.collections.collection import save_collection
from headrank.collections.layout import Document, Query
from headrank.collections.parts import Parts
from headrank.data.heads import Head, HeadSet
from headrank.data.trec import Qrels
from tests.helpers import tiny_models as tiny

ROOT = Path(__file__).parents[2]
HEADS = HeadSet((Head(2, 3), Head(0, 1), Head(1, 2)))
QUERIES = {f"q{n}": f"what does a policy pay {n}" for n in range(3)}


def record(query="q0", **changes) -> dict:
    docs = [{"id": f"d{i}", "text": text} for i, text in enumerate(tiny.TEXTS)]
    return {"query_id": query, "query": QUERIES.get(query, query), "docs": docs} | changes


def labelled(number: int) -> dict:
    entry = record(f"q{number}")
    entry["query"] = f"what does a policy pay {number}"
    for place, document in enumerate(entry["docs"]):
        document["grade"] = 2 if place == number % 6 else int(place == (number + 1) % 6)
    return entry


def write(path: Path, records) -> str:
    path.write_text("".join(json.dumps(one) + "\n" for one in records))
    return str(path)


@pytest.fixture
def heads(tmp_path) -> str:
    HEADS.save(tmp_path / "heads.json")
    return str(tmp_path / "heads.json")


@pytest.fixture
def model() -> str:
    return str(tiny.folder("qwen3"))


@pytest.fixture
def collection(tmp_path) -> Path:
    folder = tmp_path / "collection"
    save_collection(
        folder,
        Parts(
            [Document(f"d{i}", "", text) for i, text in enumerate(tiny.TEXTS)],
            [Query(name, text) for name, text in QUERIES.items()],
            Qrels({name: {"d1": 2, "d3": 1, "d2": 0} for name in QUERIES}),
            {"source": "the tests"},
        ),
    )
    return folder


def refused(capsys, arguments, code=1) -> str:
    """Return the one line that a failing command prints."""
    capsys.readouterr()
    assert main(arguments) == code
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if line.startswith("headrank:")]
    assert len(lines) == 1
    assert "Traceback" not in captured.err
    return lines[0]
