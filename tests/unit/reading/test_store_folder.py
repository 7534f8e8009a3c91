"""A folder of encoded documents: whole, checked, bounded, and safe for several processes."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import pytest
import torch

from headrank.errors import HeadRankError, HostFault
from headrank.io.folders import ADAPTER, atomic_dir, check_replaceable
from headrank.options.prompt import PromptOptions
from headrank.ranker.ranker import HeadRanker
from headrank.reading.document_store import DocumentStore
from headrank.reading.entries import Encoded, read_entry, to_bytes
from headrank.reading.store_card import read_totals
from headrank.reading.store_folder import StoreFolder
from tests.helpers import tiny_models as tiny
from tests.unit.reading.test_document_store import BLOCK, HEADS, QUERIES, computed, ranker

__all__ = ["computed"]  # a fixture
IDENTITY = {"name": "a model", "weights": "0" * 64, "dtype": "float32", "layers": 2}


def entry(tokens=4, seed=0):
    numbers = torch.Generator().manual_seed(seed)
    return Encoded(
        torch.randn(2, 1, tokens, 4, generator=numbers),
        torch.randn(1, 1, tokens, 4, generator=numbers),
    )


def key(number):
    return f"{number:064x}"


def folder_at(path, **changes):
    folder = StoreFolder(path)
    folder.bind(IDENTITY, **changes)
    return folder


def files(path):
    return sorted(Path(path).glob("entries/*/*.safetensors"))


def test_another_ranker_finds_what_one_left_on_disk(tmp_path, computed):
    one = tiny.candidates()
    expected = [ranker().rerank(query, one.passages) for query in QUERIES]
    computed.clear()
    assert [ranker(tmp_path / "s").rerank(query, one.passages) for query in QUERIES] == expected
    assert computed == [6]
    own = ranker(str(tmp_path / "s"))
    assert own.encode(one.passages) == 0
    assert own.rerank(QUERIES[0], one.passages) == expected[0]
    assert computed == [6]
    assert len(files(tmp_path / "s")) == 7
    totals = own.store.folder.totals()
    assert (totals.hits, totals.misses, totals.entries) == (18, 6, 7)
    assert totals.bytes == sum(path.stat().st_size for path in files(tmp_path / "s"))


def test_memory_in_front_is_bounded_and_the_folder_behind_it_serves(tmp_path, computed):
    one = tiny.candidates()
    expected = ranker().rerank(QUERIES[0], one.passages)
    store = DocumentStore.open(tmp_path, memory=2500)
    own = ranker(store)
    computed.clear()
    for _ in range(3):
        assert own.rerank(QUERIES[0], one.passages) == expected
        assert store.bytes <= 2500
    assert computed == [6]


def test_what_is_encoded_costs_one_pass_of_memory_and_each_text_once(tmp_path, computed):
    from headrank.ranker.encoding import encode_passages

    texts = [f"Text {number} of the corpus." for number in range(40)]
    own = ranker(tmp_path)
    done = list(encode_passages(own, [*texts, *texts[:10]], budget=100))
    assert sum(one.documents for one in done) == 50
    assert sum(one.new for one in done) == 40 == sum(computed)
    assert len(computed) > 3
    assert own.encode(texts) == 0


def test_eight_bits_give_the_same_scores_in_the_first_list_and_later(tmp_path, computed):
    one = tiny.candidates()
    exact = {p.doc_id: p.score for p in ranker().rerank(QUERIES[0], one.passages)}
    ranker(tmp_path / "exact").encode(one.passages)
    store = DocumentStore.open(tmp_path / "int8", int8=True)
    first = ranker(store).rerank(QUERIES[0], one.passages)
    computed.clear()
    assert ranker(tmp_path / "int8").rerank(QUERIES[0], one.passages) == first
    assert computed == []
    scores = {p.doc_id: p.score for p in first}
    assert scores != exact
    assert scores == pytest.approx(exact, rel=0.02)
    # 1 byte a number and 4 for each row of 8, in place of 4 bytes a number.
    kept, whole = (
        sum(read_entry(path, path.stem).bytes for path in files(tmp_path / name))
        for name in ("int8", "exact")
    )
    assert kept < 0.5 * whole
    with pytest.raises(HeadRankError, match="int8 is True there, False here"):
        ranker(DocumentStore.open(tmp_path / "int8", int8=False))


def test_eight_bits_are_off_by_half_a_step_at_most():
    found = entry(50)
    keys, values = torch.empty_like(found.keys), torch.empty_like(found.values)
    found.in_8_bits().write(keys, values)
    steps = found.keys.abs().amax(-1, keepdim=True) / 127
    assert ((keys - found.keys).abs() <= 0.501 * steps).all()
    nothing = Encoded(torch.zeros(1, 1, 2, 4), torch.zeros(0, 1, 2, 4))
    nothing.in_8_bits().write(out := torch.ones(1, 1, 2, 4), torch.ones(0, 1, 2, 4))
    assert (out == 0).all()


@pytest.mark.parametrize("layers", [1, 2])
def test_a_file_gives_the_entry_back_whatever_its_type(tmp_path, layers):
    keys = torch.randn(layers, 2, 3, 4)
    for made in (
        Encoded(keys, keys[1:].clone()),
        Encoded(keys.bfloat16(), keys[1:].bfloat16()),
        Encoded(keys, keys[1:].clone()).in_8_bits(),
    ):
        (tmp_path / "e").write_bytes(to_bytes(made, "k"))
        found = read_entry(tmp_path / "e", "k")
        assert found.tensors.keys() == made.tensors.keys()
        for name, tensor in made.tensors.items():
            assert torch.equal(found.tensors[name], tensor)
            assert found.tensors[name].dtype == tensor.dtype


def test_no_flipped_bit_and_no_cut_gives_other_numbers(tmp_path):
    made = entry(2)
    data = to_bytes(made, "k")
    path = tmp_path / "e"
    refused = 0
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 1 << (place % 8)
        path.write_bytes(changed)
        try:
            found = read_entry(path, "k")
        except HeadRankError as error:
            assert "\n" not in str(error)
            assert "delete this file" in str(error) or "of format" in str(error)
            refused += 1
        else:  # padding of the header
            assert all(torch.equal(found.tensors[n], t) for n, t in made.tensors.items())
    assert refused > 0.9 * len(data)
    for length in (0, 5, 100, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(HostFault, match=r"is damaged .*; delete this file"):
            read_entry(path, "k")
    path.write_bytes(data)
    with pytest.raises(HostFault, match="is damaged"):
        read_entry(path, "other")  # a file under another entry's name


def test_a_damaged_entry_is_refused_and_read_anew_once_it_is_deleted(tmp_path, computed):
    one = tiny.candidates()
    expected = ranker(tmp_path).rerank(QUERIES[0], one.passages)
    path = files(tmp_path)[2]
    data = bytearray(path.read_bytes())
    data[-3] ^= 4
    path.write_bytes(data)
    with pytest.raises(HostFault, match=f"{path}: the encoded document is damaged"):
        ranker(tmp_path).rerank(QUERIES[0], one.passages)
    path.unlink()
    found = ranker(tmp_path).rerank(QUERIES[0], one.passages)
    for passage, other in zip(found, expected, strict=True):
        assert passage.score == pytest.approx(other.score, rel=1e-4)


def test_another_format_is_refused(tmp_path, monkeypatch):
    from headrank.reading import entries, store_card, store_folder

    monkeypatch.setattr(entries, "FORMAT", 7)
    (tmp_path / "e").write_bytes(to_bytes(entry(), "k"))
    monkeypatch.setattr(store_folder, "FORMAT", 7)
    monkeypatch.setattr(store_card, "FORMAT", 7)
    folder_at(tmp_path / "store")
    monkeypatch.undo()
    with pytest.raises(HostFault, match=r"document of format 7; .* reads format 1"):
        read_entry(tmp_path / "e", "k")
    with pytest.raises(HeadRankError, match=r"store.json: a store of format 7; .* reads format 1"):
        folder_at(tmp_path / "store")
    (tmp_path / "store" / "store.json").write_text("[]")
    with pytest.raises(HeadRankError, match="not the card of a store"):
        folder_at(tmp_path / "store")


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"dtype": "bfloat16"}, "dtype is 'float32' there, 'bfloat16' here"),
        ({"architecture": "qwen3"}, "weights is .* there, .* here"),
        ({"prompt": PromptOptions(layout="block", header="T:\n", query_offset=100)}, "prefix is"),
        ({"prompt": PromptOptions(layout="block", marker="T: ", query_offset=100)}, "marker is"),
        ({"document_tokens": 9}, "document_tokens is None there, 9 here"),
    ],
)
def test_a_store_of_something_else_is_refused_and_told_apart(tmp_path, changes, what):
    ranker(tmp_path)
    ranker(tmp_path, order="reversed")  # decides no document
    with pytest.raises(HeadRankError, match=f"{what}.*Give another folder") as caught:
        ranker(tmp_path, **changes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("layout", ["joint", "block+query"])
def test_documents_behind_other_text_are_never_stored(tmp_path, layout):
    with pytest.raises(HeadRankError, match=f"layout is {layout.replace('+', '.')}; a store"):
        ranker(tmp_path / "s", prompt=PromptOptions(layout=layout))
    assert not (tmp_path / "s").exists()


def test_a_folder_of_anything_else_is_refused_and_a_store_is_replaced_by_nothing(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(HeadRankError, match=r"did not write \(letter.txt\)"):
        folder_at(tmp_path / "mine")
    with atomic_dir(tmp_path / "adapter", ADAPTER) as made:
        (made / "headrank.json").write_text("{}")
    with pytest.raises(HeadRankError, match="holds an adapter, not a store"):
        folder_at(tmp_path / "adapter")
    (tmp_path / "file").write_text("")
    with pytest.raises(HeadRankError, match="is no folder"):
        folder_at(tmp_path / "file")
    folder_at(tmp_path / "store").keep({key(1): entry()})
    with pytest.raises(HeadRankError, match="holds a store of encoded documents"):
        check_replaceable(tmp_path / "store", ADAPTER)
    # What a process that was killed while it made the folder leaves is taken up.
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "..headrank.json.abc.part").write_text("{")
    folder_at(tmp_path / "begun").keep({key(1): entry()})


def test_the_folder_stays_within_its_limit_and_the_oldest_use_goes(tmp_path):
    size = len(to_bytes(entry(), key(0)))
    folder = folder_at(tmp_path, limit=10 * size)
    for number in range(10):
        folder.keep({key(number): entry(seed=number)})
        os.utime(files(tmp_path)[number], (number + 1, number + 1))
    assert folder.find(key(0)) is not None  # used now
    assert folder.has(key(2))
    folder.keep({key(10): entry(seed=10), key(11): entry(seed=11)})
    left = {int(path.stem, 16) for path in files(tmp_path)}
    assert left == set(range(12)) - {1, 3}
    totals = folder.totals()
    assert (totals.entries, totals.gone, totals.bytes) == (10, 2, 10 * size)
    assert folder.find(key(3)) is None
    with pytest.raises(HeadRankError, match=r"a document takes \d+ bytes, the store's limit is"):
        folder.keep({key(12): entry(tokens=4000)})
    # A smaller limit is noted and kept at once; a larger one lets more in.
    folder_at(tmp_path, limit=4 * size)
    assert 3 <= len(files(tmp_path)) <= 4
    assert folder_at(tmp_path).limit == 4 * size
    with pytest.raises(HeadRankError, match="limit is 0; allowed: a whole number from 1"):
        folder_at(tmp_path, limit=0)


def test_files_and_folders_get_the_users_umask(tmp_path):
    before = os.umask(0o027)
    try:
        folder_at(tmp_path / "s").keep({key(1): entry()})
    finally:
        os.umask(before)
    for path in (tmp_path / "s").rglob("*"):
        assert path.stat().st_mode & 0o777 == (0o750 if path.is_dir() else 0o640), path


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_only_read_serves_and_says_so(tmp_path, caplog):
    folder_at(tmp_path).keep({key(1): entry()})
    for path in [tmp_path, *tmp_path.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        folder = folder_at(tmp_path)
        with caplog.at_level(logging.WARNING):
            folder.keep({key(2): entry()})
            folder.keep({key(3): entry()})
        assert folder.find(key(1)) is not None
        assert caplog.text.count("may not be written to") == 1
    finally:
        for path in [tmp_path, *tmp_path.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)


def write_many(path, first, count, tokens, limit):
    folder = folder_at(path, limit=limit)
    for number in range(first, first + count):
        parts = (torch.full((layers, 1, tokens, 4), float(number)) for layers in (2, 1))
        folder.keep({key(number): Encoded(*parts)})
        assert folder.find(key(number)) is not None or limit
        folder.note(1, 1)
    folder.totals()


def writer(*arguments):
    # A fork has torch at once; these tensors are filled by the process's own thread.
    process = multiprocessing.get_context("fork").Process(target=write_many, args=arguments)
    process.start()
    return process


def ended(*running):
    for process in running:
        process.join(120)
    return [process.exitcode for process in running]


def test_processes_that_write_at_once_lose_nothing_and_stay_within_the_limit(tmp_path):
    running = [writer(tmp_path / "s", first, 60, 4, None) for first in (0, 30)]
    assert ended(*running) == [0, 0]
    folder = folder_at(tmp_path / "s")
    assert len(files(tmp_path / "s")) == 90
    for number in range(90):
        assert (folder.find(key(number)).keys == number).all()
    totals = folder.totals()
    assert (totals.entries, totals.hits, totals.misses) == (90, 120, 120)
    assert totals.bytes == sum(path.stat().st_size for path in files(tmp_path / "s"))

    size = len(to_bytes(entry(), key(0)))
    running = [writer(tmp_path / "small", first, 60, 4, 8 * size) for first in (0, 30)]
    while any(process.is_alive() for process in running):
        assert len(files(tmp_path / "small")) <= 8
    assert ended(*running) == [0, 0]
    assert read_totals(tmp_path / "small").entries == len(files(tmp_path / "small")) <= 8


def test_kill_9_in_the_middle_leaves_only_whole_entries_and_no_lock(tmp_path):
    delays = random.Random(13)
    for number in range(4):
        before = len(files(tmp_path / "s"))
        process = writer(tmp_path / "s", 0, 400, 2000, None)
        # A slow machine may take a while to write the first.
        while len(files(tmp_path / "s")) == before and process.is_alive():
            time.sleep(0.001)
        time.sleep(delays.uniform(0, 0.2))
        os.kill(process.pid, signal.SIGKILL)
        assert ended(process) == [-signal.SIGKILL]
        found = files(tmp_path / "s")
        folder = folder_at(tmp_path / "s")  # not held up by a lock
        for path in found:
            assert folder.find(path.stem) is not None
        folder.keep({key(10**6 + number): entry()})
        totals = folder.totals()
        assert totals.entries == len(found) + 1
        assert totals.bytes == sum(path.stat().st_size for path in files(tmp_path / "s"))
    assert 4 < len(files(tmp_path / "s")) < 400
    assert ended(writer(tmp_path / "s", 0, 5, 2000, None)) == [0]
    # What a killed writer left under another name goes when the folder is next looked through.
    left = next((tmp_path / "s" / "entries").iterdir()) / ".x.safetensors.1.part"
    left.write_bytes(b"half")
    os.utime(left, (1, 1))
    folder_at(tmp_path / "s", limit=10**6)
    assert not left.exists()


def test_a_broken_lock_file_is_counted_anew(tmp_path):
    folder = folder_at(tmp_path)
    folder.keep({key(1): entry()})
    (tmp_path / ".lock").write_text("{")
    assert read_totals(tmp_path).entries == 1
    folder.keep({key(2): entry()})
    assert json.loads((tmp_path / ".lock").read_text())["entries"] == 2


def test_a_mapped_entry_outlives_its_file(tmp_path):
    folder = folder_at(tmp_path)
    made = entry(tokens=20_000)
    folder.keep({key(1): made})
    found = folder.find(key(1))
    files(tmp_path)[0].unlink()
    assert torch.equal(found.keys, made.keys)


def test_a_ranker_of_the_library_takes_a_path(tmp_path):
    own = HeadRanker.from_pretrained(tiny.folder("llama"), HEADS, prompt=BLOCK, store=tmp_path)
    assert isinstance(own.store, DocumentStore)
    assert own.store.folder.path == tmp_path
