"""A user's own files: found or named, hashed again where they changed, told by split."""

import gzip
import json
import os
import re

import pytest

from headrank.collections.splits import splits
from headrank.errors import HeadRankError
from headrank.workflow.own_files import size_problems
from headrank.workflow.provenance import originals as module
from headrank.workflow.provenance.originals import (
    Hashes,
    Original,
    check_originals,
    note_problems,
    noted,
    originals,
    replaced_originals,
)
from tests.helpers.own_folder import FILES, written


@pytest.fixture
def food(tmp_path, monkeypatch):
    """Return a collection's folder in the working folder."""
    monkeypatch.chdir(tmp_path)
    return written(tmp_path / "food")


def config(path="food", **more):
    source = {"kind": "local", "path": path}
    return {
        "models": {
            "own": {"source": {"kind": "local", "path": "~/weights"}, "format": "safetensors"},
            "other": {"source": {"kind": "local", "path": "nowhere"}, "format": "gguf"},
            "far": {"source": {"kind": "pypi"}, "format": "gguf"},
        },
        "encoders": {},
        "collections": {"food": {"source": source, "runs": {"test": "bm25.run"}}},
        "sets": {"exam": {"collection": "food", "split": "test", "take": None, "skip": 0} | more},
    }


def test_what_is_not_there_is_told_at_once_with_key_and_path(food, monkeypatch):
    monkeypatch.setenv("HOME", str(food.parent))
    found = originals(config("fod"), ["own", "far"], ["food"])
    with pytest.raises(HeadRankError) as told:
        check_originals(found)
    lines = str(told.value).split("\n")
    assert lines[0] == "the config has 3 errors:"
    assert lines[1].startswith("models.own.source.path is '~/weights', and there is no such path")
    assert "collections.food.source.path is 'fod'" in lines[2] and str(food.parent) in lines[2]
    assert "collections.food.runs.test is 'bm25.run'" in lines[3]
    # The home is found, a folder is no run, and a model that nothing uses may be elsewhere.
    (food.parent / "weights").mkdir()
    (food.parent / "bm25.run").mkdir()
    with pytest.raises(HeadRankError, match=r"1 error:\n.*runs.test is .*a folder; allowed: a fi"):
        check_originals(originals(config(), ["own"], ["food"]))
    (food / "qrels.tsv").unlink()
    with pytest.raises(HeadRankError, match=r"2 errors:\n.*holds no qrels.tsv; a collection is"):
        check_originals(originals(config(), ["own"], ["food"]))


def test_a_file_that_an_older_one_replaces_has_another_hash(food):
    one = Original("k", "food", collection=True, file=False)
    hashes = Hashes("kept.json")
    before = hashes.of_all(one)
    hashes.save()
    older = food.parent / "older"
    older.write_text("a 0 d1 1\nb 0 d1 0\nt 0 d1 1\n7 0 d1 1\n")
    state = (food / "qrels.tsv").stat()
    os.utime(older, ns=(state.st_atime_ns, state.st_mtime_ns))
    os.replace(older, food / "qrels.tsv")
    assert (food / "qrels.tsv").stat().st_size == state.st_size
    after = Hashes("kept.json").of_all(one)
    assert {name for name in before if before[name] != after[name]} == {"qrels.tsv"}


def test_what_did_not_change_is_not_read_again(food, monkeypatch):
    one = Original("k", "food", collection=True)
    hashes = Hashes("kept.json")
    known = hashes.of_all(one)
    hashes.save()
    monkeypatch.setattr(module, "sha256", lambda path: pytest.fail(f"read {path}"))
    assert Hashes("kept.json").of_all(one) == known and set(known) == set(FILES)


def test_a_damaged_store_is_made_anew(food):
    (food.parent / "kept.json").write_text("{")
    assert len(Hashes("kept.json").of_all(Original("k", "food", collection=True))) == 3


@pytest.mark.parametrize(
    "change, refused, words",
    [
        ({"split": "tset"}, True, r"sets.exam.split is 'tset'; allowed: dev \(1 queries\), test"),
        ({"skip": 1}, True, r"sets.exam.skip is 1; allowed: less than 1"),
        ({"take": 40}, False, r"sets.exam.take is 40: 1 are taken at most"),
    ],
)
def test_sizes_are_told_before_any_job(food, change, refused, words):
    ((wrong, message),) = size_problems(config(**change), ["exam"], lambda name: splits(name))
    assert wrong is refused
    assert re.search(words, message), message


def test_a_set_that_fits_is_not_spoken_of(food):
    assert not list(size_problems(config(take=1), ["exam"], lambda name: splits(name)))
    assert not list(size_problems(config(take=40), ["exam"], lambda name: None))


def test_a_manifest_tells_what_was_replaced_and_what_is_gone(food):
    one = Original("collections.food.source.path", "food", collection=True)
    before = noted([one], Hashes())
    (food.parent / "manifest.json").write_text(json.dumps({"originals": before}))
    assert replaced_originals("manifest.json", before) is None
    assert replaced_originals("none.json", before) is None
    assert not list(note_problems(before, food.parent))
    (food / "qrels.tsv").write_text("a 0 d1 1\n")
    told = replaced_originals("manifest.json", noted([one], Hashes()))
    assert "notes other files of collections.food.source.path (qrels.tsv)" in told
    ((changed, message),) = note_problems(before, food.parent)
    assert changed and "qrels.tsv: changed since" in message
    (food / "qrels.tsv").unlink()
    ((changed, message),) = note_problems(before, food.parent)
    assert changed and "gone since" in message
    food.rename(food.parent / "moved")
    ((changed, _),) = note_problems(before, food.parent)
    assert not changed


def test_a_folder_that_the_workflow_writes_to_is_no_source(food):
    made = food.parent / "resources/collections/food"
    made.parent.mkdir(parents=True)
    food.rename(made)
    one = Original("collections.food.source.path", str(made), collection=True)
    with pytest.raises(HeadRankError, match="writes to and deletes from; copy the files"):
        check_originals([one])


def test_beirs_form_and_packed_files_are_one_whole(food):
    (food / "qrels").mkdir()
    judged = (food / "qrels.tsv").read_text().split("\n")
    rows = [line.split() for line in judged if line]
    (food / "qrels/test.tsv").write_text("".join(f"{q}\t{d}\t{g}\n" for q, _, d, g in rows))
    (food / "qrels.tsv").unlink()
    (food / "corpus.jsonl.gz").write_bytes(gzip.compress((food / "corpus.jsonl").read_bytes()))
    (food / "corpus.jsonl").unlink()
    one = Original("k", "food", collection=True)
    check_originals([one])
    assert set(one.files()) == {"corpus.jsonl.gz", "queries.jsonl", "qrels/test.tsv"}
    assert splits(food) is None
    (food / "qrels/test.tsv").unlink()
    with pytest.raises(HeadRankError, match=r"holds no qrels\.tsv"):
        check_originals([one])
