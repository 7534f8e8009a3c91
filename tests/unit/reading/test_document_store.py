"""A store of encoded documents: found again only where nothing that decides them differs."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch

from headrank.align import adapter
from headrank.data.candidates import Passage, as_candidates
from headrank.data.heads import Head, HeadSet
from headrank.errors import HeadRankError
from headrank.options.prompt import STORABLE, PromptOptions
from headrank.ranker.ranker import HeadRanker
from headrank.reading import apart
from headrank.reading.document_store import DocumentStore, state_of
from headrank.reading.entries import Encoded
from tests.helpers import models
from tests.helpers import tiny_models as tiny

HEADS = HeadSet((Head(2, 3), Head(1, 0), Head(2, 1)))
BLOCK = PromptOptions(layout="block", query_offset=100)
QUERIES = ["what does a policy pay", "who barks at night", "what does a policy pay"]


@pytest.fixture
def computed(monkeypatch):
    """Return a list that gets the number of documents of each pass that is computed."""
    counts = []
    whole = apart.forward

    def forward(model, ids, positions, attention, last, cache):
        if not attention.tails:
            counts.append(sum(group.count for group in attention.groups))
        whole(model, ids, positions, attention, last, cache)

    monkeypatch.setattr(apart, "forward", forward)
    return counts


def ranker(store=None, architecture="gemma3", prompt=BLOCK, **changes):
    return HeadRanker.from_pretrained(
        tiny.folder(architecture), HEADS, prompt=prompt, store=store, **changes
    )


@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
@pytest.mark.parametrize("method", ["headrank", "core"])
@pytest.mark.parametrize("layout", STORABLE)
def test_a_stored_list_scores_the_same_bits_and_computes_nothing(
    architecture, method, layout, computed
):
    store = DocumentStore(10**8)
    one = tiny.candidates()
    prompt = BLOCK.changed(layout=layout)
    changes = {"architecture": architecture, "method": method, "prompt": prompt}
    expected = [ranker(**changes).rerank(query, one.passages) for query in QUERIES]
    own = ranker(store, **changes)
    computed.clear()
    assert [own.rerank(query, one.passages) for query in QUERIES] == expected
    assert computed == [6]
    # The prefix is an entry too, but no document.
    assert (len(store), store.hits, store.misses) == (7, 12, 6)
    # Another ranker of the same weights shares what is there.
    again = ranker(store, **changes, order="reversed")
    assert again.rerank(QUERIES[0], one.passages) == expected[0]
    assert computed == [6]


def test_lists_that_share_documents_compute_what_is_new(computed):
    store = DocumentStore(10**8)
    own = ranker(store)
    whole, part = tiny.candidates(), tiny.candidates(skip=4)
    expected = ranker().rerank(whole.query, whole.passages)
    own.rerank(part.query, part.passages)
    found = own.rerank(whole.query, whole.passages)
    assert computed[-2:] == [2, 4]
    # Documents of other passes: the same numbers, up to rounding.
    for one, other in zip(found, expected, strict=True):
        assert one.doc_id == other.doc_id
        assert one.score == pytest.approx(other.score, rel=1e-4)
    mixed = [Passage("", "A new text."), *whole.passages, Passage("", "And another one here.")]
    found = own.rerank(whole.query, mixed)
    assert computed[-1] == 2
    for one, other in zip(found, ranker().rerank(whole.query, mixed), strict=True):
        assert (one.doc_id, one.score) == (other.doc_id, pytest.approx(other.score, rel=1e-4))


def test_passages_are_encoded_before_any_query(computed):
    store = DocumentStore(10**8)
    own = ranker(store)
    one = tiny.candidates()
    assert own.encode(one.passages) == 6
    assert own.encode(passage.text for passage in one.passages) == 0
    computed.clear()
    found = own.rerank(one.query, one.passages)
    assert computed == []
    assert found == ranker().rerank(one.query, one.passages)
    with pytest.raises(HeadRankError, match="the ranker has no store"):
        ranker().encode(one.passages)


def test_nothing_that_decides_a_document_may_differ(tmp_path, computed):
    store = DocumentStore(10**9)
    one = tiny.candidates()
    plain = models.loaded("gemma3")
    models.with_adapter(plain, HEADS)
    folders = []
    for seed in (1, 2):
        base = ranker().model
        from headrank.models.decoder import load_model

        loaded = load_model(tiny.folder("gemma3"))
        wrapped = models.with_adapter(loaded, HEADS, seed=seed)
        folder = tmp_path / str(seed)
        card = {"model_digest": base.digest, "prompt": BLOCK.described()}
        adapter.save_adapter(wrapped, folder, HEADS, card)
        folders.append(folder)
    deeper = HeadSet((*HEADS.heads, Head(3, 0)))
    rankers = {
        "plain": lambda: ranker(store),
        "adapter": lambda: ranker(store, adapter=folders[0], merge=True),
        "other adapter": lambda: ranker(store, adapter=folders[1]),
        "beside": lambda: ranker(store, adapter=folders[0], merge=False),
        "bfloat16": lambda: ranker(store, dtype="bfloat16"),
        "header": lambda: ranker(store, prompt=replace(BLOCK, header="Texts:\n\n")),
        "tenth": lambda: ranker(store, prompt=BLOCK.changed(layout="block-tenth")),
        "marker": lambda: ranker(store, prompt=replace(BLOCK, marker="Text: ")),
        "separator": lambda: ranker(store, prompt=replace(BLOCK, separator="\n")),
        "tokens": lambda: ranker(store, prompt=replace(BLOCK, document_tokens=5)),
        "weights": lambda: ranker(store, architecture="qwen3"),
        "depth": lambda: HeadRanker.from_pretrained(
            tiny.folder("gemma3"), deeper, prompt=BLOCK, store=store
        ),
    }
    found = {}
    for name, make in rankers.items():
        computed.clear()
        own = make()
        found[name] = [p.score for p in own.rerank(one.query, one.passages)]
        assert sum(computed) == 6, name
        own.store = None
        assert [p.score for p in own.rerank(one.query, one.passages)] == found[name]
    # Where the query stands changes no document.
    computed.clear()
    ranker(store, prompt=replace(BLOCK, query_offset=120)).rerank(one.query, one.passages)
    assert computed == []
    for first, second in itertools.combinations(found, 2):
        assert found[first] != found[second]


def entry(tokens):
    return Encoded(torch.zeros(2, 1, tokens, 4), torch.zeros(1, 1, tokens, 4))


def test_the_least_recently_used_go_and_the_bound_holds():
    size = entry(1).bytes
    assert size == 4 * (2 + 1) * 4
    store = DocumentStore(10 * size)
    for name, tokens in (("a", 4), ("b", 3), ("c", 2)):
        store.keep({name: entry(tokens)})
    assert store.find("a") is not None
    store.keep({"d": entry(4)})
    assert (store.find("b"), store.find("c") is None) == (None, False)
    assert store.bytes == 10 * size and len(store) == 3
    store.keep({"whole": entry(11)})
    assert store.find("whole") is None and store.find("a") is not None
    store.keep({"a": entry(1)})
    assert store.bytes == 7 * size
    store.clear()
    assert (store.bytes, len(store)) == (0, 0)
    with pytest.raises(HeadRankError, match="limit is 0; allowed: a whole number from 1"):
        DocumentStore(0)


@pytest.mark.parametrize("room", [1, 2500, 6000])
def test_a_store_too_small_for_a_list_still_gives_its_scores(room):
    one = tiny.candidates()
    expected = ranker(architecture="llama").rerank(one.query, one.passages)
    own = ranker(DocumentStore(room), architecture="llama")
    for _ in range(3):
        found = own.rerank(one.query, one.passages)
        assert own.store.bytes <= room
        for passage, other in zip(found, expected, strict=True):
            assert passage.score == pytest.approx(other.score, rel=1e-4)


@pytest.mark.parametrize("layout", ["joint", "block+query"])
def test_other_layouts_have_nothing_to_keep(layout):
    with pytest.raises(HeadRankError, match="a store of encoded documents needs layout block"):
        ranker(DocumentStore(10), prompt=PromptOptions(layout=layout))


def test_an_adapter_without_a_folder_is_refused():
    model = models.loaded("llama")
    first = state_of(model, None)
    wrapped = models.with_adapter(model, HEADS)
    model.decoder.peft_config = wrapped.peft_config
    with pytest.raises(HeadRankError, match="carries an adapter that was not loaded"):
        state_of(model, None)
    assert first == state_of(models.loaded("llama"), None) != state_of(models.loaded("qwen2"), None)


def test_a_store_holds_what_it_says(computed):
    store = DocumentStore(10**8)
    own = ranker(store, architecture="llama")
    own.encode(["A text.", "Another, longer text of some words."])
    # Three layers, two key heads of 8 numbers of four bytes; the deepest layer has no values.
    tokens = sum(held.entry.tokens for held in store._entries.values())
    assert store.bytes == tokens * 2 * 8 * 4 * (3 + 2)
    assert store.bytes == sum(held.entry.bytes for held in store._entries.values())
    with pytest.raises(HeadRankError, match="passages is one text; give a list"):
        own.encode("one text")  # not a document a letter
    # Two parts of one document may bear its id.
    assert own.encode([{"id": "a", "text": "part one"}, {"id": "a", "text": "part two"}]) == 2


def test_of_a_document_a_tenth_is_stored(computed):
    """Of 60 words 6 tokens; of one that is shorter than ten its last one."""
    store = DocumentStore(10**8)
    own = ranker(store, architecture="llama", prompt=BLOCK.changed(layout="block-tenth"))
    words = ["and", "the", "of", "how"]
    long = " ".join(words[n % 4] for n in range(60))
    own.encode([long, "and"])
    tokens = own.builder.build(as_candidates("any", [long, "and"])).widths
    kept = sorted(held.entry.tokens for held in store._entries.values())
    head = len(own.builder.build(as_candidates("any", ["and"])).blocks.heads[0])
    assert kept == sorted([-(-tokens[0] // 10), -(-tokens[1] // 10), head])
    # The key tells it: of the same ids, without markers, either layout keeps its own part.
    bare = replace(BLOCK, marker="", separator="\n")
    texts = [long + " and", "the"]
    for layout, passes in (("block", [2]), ("block-tenth", [2]), ("block", [])):
        computed.clear()
        ranker(store, architecture="llama", prompt=bare.changed(layout=layout)).encode(texts)
        assert computed == passes


def test_a_suffix_sees_keys_and_values_where_they_lie(monkeypatch):
    own = ranker(DocumentStore(10**8), architecture="llama")
    one = tiny.candidates()
    own.encode(one.passages)
    rooms, seen = [], []
    filled, attention = apart.fill, torch.nn.functional.scaled_dot_product_attention

    def fill(model, packed, head, room, **options):
        filled(model, packed, head, room, **options)
        rooms.append([room.keys.data_ptr(), *places(room.keys), *places(room.values)])

    def places(parts):
        return [layer.data_ptr() for layer in parts]

    def spied(query, key, value, **options):
        seen.append((key, value))
        return attention(query, key, value, **options)

    monkeypatch.setattr(apart, "fill", fill)
    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", spied)
    first = own.rerank(one.query, one.passages)
    (room,) = rooms
    layers = own.model.layers
    assert len(seen) == layers - 1
    for layer, (key, value) in enumerate(seen):
        # Two key heads serve four query heads; each part is the room's own memory.
        assert key.shape[1] == value.shape[1] == 2
        assert key.data_ptr() == room[1 + layer]
        assert value.data_ptr() == room[1 + layers + layer]
    # The next list gets the same memory, whatever its length, and the scores stay.
    assert len(own.rerank("another", one.passages[:3])) == 3
    assert own.rerank(one.query, one.passages) == first
    assert {first for first, *_ in rooms} == {room[0]}
