"""headrank encode, rerank --store and info: documents read once, and told of."""

import gzip
import json

import pytest

from headrank.cli import main
from headrank.cli.encode import check, named_passages
from headrank.data.candidates import Passage
from headrank.errors import HeadRankError
from tests.helpers import command_line
from tests.helpers import tiny_models as tiny
from tests.helpers.command_line import QUERIES, record, refused, write

heads = command_line.heads
model = command_line.model
MORE = [{"_id": f"m{i}", "title": "T", "text": f"More text {i}.", "metadata": {}} for i in range(9)]


@pytest.fixture
def corpus(tmp_path):
    texts = [{"doc_id": f"d{i}", "text": text} for i, text in enumerate(tiny.TEXTS)]
    lines = [*texts, {"doc_id": "none", "title": " ", "text": ""}, *MORE]
    path = tmp_path / "corpus.jsonl.gz"
    path.write_bytes(gzip.compress("".join(json.dumps(one) + "\n" for one in lines).encode()))
    return str(path)


@pytest.fixture
def lists(tmp_path):
    return write(tmp_path / "lists.jsonl", [record(name) for name in QUERIES])


def info(store, capsys):
    assert main(["info", str(store), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_corpus_is_encoded_and_lists_take_its_documents(
    tmp_path, capsys, heads, model, corpus, lists
):
    store, given = str(tmp_path / "store"), ["--model", model, "--heads", heads]
    assert main(["encode", corpus, *given, "-o", store]) == 0
    told = capsys.readouterr()
    assert "store: 15 documents, 15 of them new; 0.000 GB of 20.000 GB;" in told.out
    assert "tokens a second" in told.out
    assert "1 documents have no text and were left out" in told.err
    assert "encoding: 15 of 15 documents" in told.err
    found = info(store, capsys)
    assert (found["kind"], found["documents"]) == ("store of encoded documents", 15)
    assert (found["hits"], found["hit_rate"], found["layout"]) == (0, None, "block")
    assert (found["dtype"], found["model"], found["layers"]) == ("float32", model, 3)

    assert main(["rerank", lists, *given, "--layout", "block", "--quiet"]) == 0
    expected = capsys.readouterr().out
    assert main(["rerank", lists, *given, "--store", store, "--quiet"]) == 0
    for line, other in zip(
        capsys.readouterr().out.splitlines(), expected.splitlines(), strict=True
    ):
        ours, theirs = json.loads(line)["docs"], json.loads(other)["docs"]
        assert [one["id"] for one in ours] == [one["id"] for one in theirs]
        scores = [[one["score"] for one in docs] for docs in (ours, theirs)]
        assert scores[0] == pytest.approx(scores[1], rel=1e-4)
    found = info(store, capsys)
    assert (found["documents"], found["hits"], found["misses"]) == (15, 18, 0)
    assert found["hit_rate"] == 1
    assert main(["info", store]) == 0
    assert "documents: 15" in capsys.readouterr().out
    # Stopped and run again: nothing is read twice.
    assert main(["encode", corpus, *given, "-o", store, "--quiet"]) == 0
    told = capsys.readouterr()
    assert "15 documents, 0 of them new" in told.out
    assert told.err.count("\n") == 1


def test_a_store_of_another_model_or_prompt_is_refused(
    tmp_path, capsys, heads, model, corpus, lists
):
    store, given = str(tmp_path / "store"), ["--model", model, "--heads", heads]
    assert main(["encode", corpus, *given, "-o", store, "--int8", "--limit", "5MB"]) == 0
    capsys.readouterr()
    assert info(store, capsys)["int8"] is True
    again = [*given, "--store", store]
    assert main(["rerank", lists, *again, "--quiet", "--top", "1"]) == 0
    capsys.readouterr()
    assert "document_tokens is None there, 7 here" in refused(
        capsys, ["rerank", lists, *again, "--document-tokens", "7"]
    )
    assert "dtype is 'float32' there, 'bfloat16' here" in refused(
        capsys, ["rerank", lists, *again, "--dtype", "bfloat16"]
    )
    assert "needs layout block" in refused(capsys, ["rerank", lists, *again, "--layout", "joint"])
    assert "needs layout block" in refused(
        capsys, ["encode", corpus, *given, "-o", store, "--layout", "block+query"]
    )


def test_what_cannot_be_encoded_is_told_before_a_model_is_loaded(tmp_path, capsys, heads, corpus):
    given = ["--model", str(tmp_path / "no model"), "--heads", heads, "-o", str(tmp_path / "s")]
    bad = write(tmp_path / "bad.jsonl", [{"text": "a"}, {"body": "b"}])
    assert "bad.jsonl:2: 'text' is missing" in refused(capsys, ["encode", bad, *given])
    bad = write(tmp_path / "bad.jsonl", [{"text": " "}])
    assert "no document with text" in refused(capsys, ["encode", bad, *given])
    for text in ("0GB", "5", "5 GB", "1.5MB"):
        with pytest.raises(SystemExit, match="2"):
            main(["encode", corpus, *given, "--limit", text])
        assert "is no size, such as 500MB or 20GB" in capsys.readouterr().err


def test_a_corpus_larger_than_the_limit_is_told(tmp_path, capsys, heads, model, corpus):
    store, given = str(tmp_path / "store"), ["--model", model, "--heads", heads]
    error = refused(capsys, ["encode", corpus, *given, "-o", store, "--limit", "30KB", "--quiet"])
    assert "make room for the last ones: the limit is 30000 bytes; raise --limit" in error
    assert info(store, capsys)["bytes"] <= 30_000


def test_a_document_too_long_is_told_with_its_line_before_the_first_is_read(
    tmp_path, capsys, heads, model
):
    store, given = str(tmp_path / "store"), ["--model", model, "--heads", heads]
    texts = [" ".join(["policy"] * count) for count in (3, 4, 400, 5)]
    corpus = write(tmp_path / "long.jsonl", [{"text": text} for text in texts])
    error = refused(capsys, ["encode", corpus, *given, "-o", store])
    assert "long.jsonl:3: " in error and "query_offset 256; cut what is too long" in error
    # No store was made, so other settings may still be chosen.
    assert not (tmp_path / "store").exists()
    assert main(["encode", corpus, *given, "-o", store, "--document-tokens", "20"]) == 0
    capsys.readouterr()
    assert info(store, capsys)["documents"] == 4
    capsys.readouterr()
    assert "document_tokens is 20 there" in refused(
        capsys, ["encode", corpus, *given, "-o", store, "--overlong", "truncate"]
    )
    other = str(tmp_path / "other")
    assert main(["encode", corpus, *given, "-o", other, "--overlong", "truncate"]) == 0


def test_a_document_without_room_before_the_query_is_cut_where_that_is_asked_for(
    tmp_path, capsys, heads, model
):
    """The cut is the same for every list, so a store serves it."""
    texts = [tiny.TEXTS[0], " ".join(tiny.TEXTS * 9)]
    corpus = write(tmp_path / "long.jsonl", [{"text": text} for text in texts])
    store, given = str(tmp_path / "store"), ["--model", model, "--heads", heads]
    for unsaid in ([], ["--overlong", "error"]):
        assert "more than query_offset 256; cut what is too long" in refused(
            capsys, ["encode", corpus, *given, "-o", store, *unsaid]
        )
    fit = ["--document-tokens", "fit", "--quiet"]
    assert main(["encode", corpus, *given, "-o", store, *fit]) == 0
    told = capsys.readouterr().err
    assert "headrank: 1 of 2 documents were cut: at most 2" in told
    assert "--query-offset makes room" in told
    assert info(store, capsys)["document_tokens"] is None
    record = {"query": "why", "docs": [{"id": str(i), "text": one} for i, one in enumerate(texts)]}
    lists = write(tmp_path / "l.jsonl", [record])
    for extra in (["--store", store], ["--layout", "block"]):
        assert main(["rerank", lists, *given, *extra, "--quiet"]) == 0
        ranked, said = capsys.readouterr()
        assert "1 of 2 passages were cut" in said
        cut = {one["id"]: one.get("kept_tokens") for one in json.loads(ranked)["docs"]}
        assert cut["0"] is None and cut["1"] > 200
    assert info(store, capsys)["hits"] == 2  # both, the one that was cut too


def test_info_of_a_store_without_an_adapter_speaks_of_no_merging(
    tmp_path, capsys, heads, model, corpus
):
    store = str(tmp_path / "store")
    assert main(["encode", corpus, "--model", model, "--heads", heads, "-o", store]) == 0
    capsys.readouterr()
    found = info(store, capsys)
    assert found["adapter"] is None and "merged" not in found


def test_a_title_alone_is_a_document(tmp_path):
    lines = [{"title": "Terms"}, {"title": "Cover", "text": ""}, {"title": "\u200b", "text": " "}]
    path = write(tmp_path / "corpus.jsonl", lines)
    assert check(path) == (2, 1)
    assert [one for _, one in named_passages(path)] == [Passage("Terms", ""), Passage("Cover", "")]
    write(tmp_path / "corpus.jsonl", [{"title": "a"}, {"texts": "b"}])
    with pytest.raises(HeadRankError, match=r"corpus\.jsonl:2: 'text' is missing or not a text"):
        check(path)
