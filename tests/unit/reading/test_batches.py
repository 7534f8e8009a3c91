"""Lists read side by side: budgets, memory that runs out, and the numbers of single lists."""

import logging
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from headrank.errors import HeadRankError
from headrank.models.devices import OutOfMemory
from headrank.options.prompt import PromptOptions
from headrank.reading.batches import TokenBudget, in_batches
from headrank.reading.document_store import DocumentStore, Shelf, state_of
from headrank.reading.lists import read_lists
from headrank.reading.prompt import PromptBuilder
from headrank.reading.recording import ReadOptions
from tests.helpers import models

WORDS = ("rent", "cover", "soil", "policy", "water", "car", "house")
LENGTHS = [5, 30, 12, 28, 7, 9, 29]


@dataclass
class Card:
    """A card of which a list takes so much a token, and which has so much to give."""

    each: int
    room: int
    lengths: list[int]
    held: int = 0
    calls: list[str] = field(default_factory=list)

    def start(self):
        self.held = 0
        self.calls.append("start")

    def taken(self):
        return self.held

    def free(self):
        return self.room

    def release(self):
        self.calls.append("release")

    def read(self, batch):
        """Return the lengths asked for, unless their padded sum is more than there is room for."""
        padded = len(batch) * max(self.lengths[number] for number in batch)
        self.held = self.each * padded
        self.calls.append(",".join(map(str, batch)))
        if self.held > self.room:
            raise OutOfMemory("CUDA has no room")
        return [self.lengths[number] for number in batch]


def planned(budget, lengths=LENGTHS, read=None):
    """Return the batches, after the check that each list is read once."""
    batches = []

    def note(batch):
        batches.append(batch)
        return [lengths[number] for number in batch] if read is None else read(batch)

    found = dict(in_batches(lengths, budget, note))
    assert found == dict(enumerate(lengths))
    return batches


@pytest.mark.parametrize("tokens", [1, 20, 60, 90, 1000])
def test_batches_are_of_like_length_and_within_the_budget(tokens):
    batches = planned(TokenBudget(tokens))
    order = [LENGTHS[number] for batch in batches for number in batch]
    assert order == sorted(LENGTHS, reverse=True)
    for batch, following in zip(batches, [*batches[1:], None], strict=True):
        longest = LENGTHS[batch[0]]
        assert len(batch) == 1 or len(batch) * longest <= tokens
        # No batch ends before the budget is full.
        assert following is None or (len(batch) + 1) * longest > tokens
    assert len(batches) == {1: 7, 20: 6, 60: 3, 90: 2, 1000: 1}[tokens]


def test_a_budget_is_found_by_the_longest_list():
    card = Card(each=2, room=250, lengths=LENGTHS)
    batches = planned(TokenBudget(None, card), read=card.read)
    # 250 bytes of 2 a token, four fifths of them: 100 tokens.
    assert batches == [[1], [6, 3, 2], [5, 4, 0]]
    assert card.calls.count("start") == 1 and "release" not in card.calls
    # Where not even the longest fits twice, every list is read alone.
    card = Card(each=8, room=250, lengths=[30, 30])
    assert planned(TokenBudget(None, card), [30, 30], card.read) == [[0], [1]]


def test_out_of_memory_halves_the_budget_and_says_so(caplog):
    card = Card(each=1, room=60, lengths=LENGTHS)
    budget = TokenBudget(210, card)
    with caplog.at_level(logging.WARNING):
        batches = planned(budget, read=card.read)
    # 7 x 30 do not fit, nor do 3 x 30 of the 105 that are left; 1 x 30 of 45 does.
    assert batches[:3] == [[1, 6, 3, 2, 5, 4, 0], [1, 6, 3], [1]]
    assert budget.tokens == 45 and card.calls.count("release") == 2
    first, second = (record.getMessage() for record in caplog.records)
    assert first.startswith("7 lists of up to 30 tokens did not fit (CUDA has no room); from here")
    assert second.endswith("at most 45 tokens at once")


def test_a_batch_begins_before_the_results_of_the_last_are_asked_for():
    """So a GPU is never idle while its results are folded."""
    seen = []

    def read(batch):
        seen.append(batch)
        return [LENGTHS[number] for number in batch]

    for number, _ in in_batches(LENGTHS, TokenBudget(60), read):
        seen.append(number)
    first, second, third = (entry for entry in seen if isinstance(entry, list))
    assert seen == [first, second, *first, third, *second, *third]


def test_a_list_that_does_not_fit_alone_is_an_error():
    card = Card(each=1, room=20, lengths=LENGTHS)
    with pytest.raises(OutOfMemory, match="no room"):
        planned(TokenBudget(120, card), read=card.read)
    with pytest.raises(OutOfMemory, match="no room"):
        planned(TokenBudget(None, card), read=card.read)


def test_what_a_config_asks_for():
    cpu, card = torch.device("cpu"), torch.device("cuda")
    assert TokenBudget.of("auto", cpu).alone
    assert TokenBudget.of(500, cpu) == TokenBudget(500)
    assert TokenBudget.of("auto", card).tokens is None and not TokenBudget.of("auto", card).alone
    assert TokenBudget.of(500, card).memory.device == card


def lists():
    """Return lists of unlike length, so that batches are padded and leave the given order."""
    return [
        models.candidates(models.TEXTS[: 2 + n % 5], f"what is {word} {'so ' * n}", f"q-{word}")
        for n, word in enumerate(WORDS)
    ]


def batch_sizes(model):
    """Return a list that each forward pass adds its number of sequences to."""
    sizes = []
    model.decoder.register_forward_pre_hook(
        lambda module, positional, named: sizes.append(len(named["input_ids"])), with_kwargs=True
    )
    return sizes


def assert_same(found, expected, **bounds):
    assert [reading.query_id for reading in found] == [reading.query_id for reading in expected]
    for one, other in zip(found, expected, strict=True):
        assert (one.doc_ids, one.cut) == (other.doc_ids, other.cut)
        for name in (
            "query",
            "calibration",
            "spans",
            "contrast",
            "tokens",
            "distance",
            "max_logits",
        ):
            mine, alone = getattr(one, name), getattr(other, name)
            assert (mine is None) == (alone is None), name
            if mine is not None:
                np.testing.assert_allclose(mine, alone, err_msg=name, **bounds)


@pytest.mark.parametrize("depth", [None, 1])
@pytest.mark.parametrize("architecture", models.ARCHITECTURES)
def test_lists_read_side_by_side_are_those_of_single_ones(architecture, depth):
    model = models.loaded(architecture)
    builder = PromptBuilder(models.tokenizer(), PromptOptions(document_tokens=12))
    options = ReadOptions(deepest=depth, keep_tokens=True)
    expected = list(read_lists(model, builder, lists(), options, label=None))
    sizes = batch_sizes(model)
    longest = max(builder.build(one).length for one in lists())
    budget = TokenBudget(3 * longest)
    found = list(read_lists(model, builder, lists(), options, budget=budget, label=None))
    assert max(sizes) >= 3 and len(sizes) < 3 * len(WORDS)
    # Sums of all heads add the differences of each.
    assert_same(found, expected, atol=2e-5)
    assert found[0].query.shape[0] == (models.LAYERS if depth is None else depth + 1)
    bare = ReadOptions(calibrate=False, deepest=depth)
    budget = TokenBudget(3 * longest)
    found = list(read_lists(model, builder, lists(), bare, budget=budget, label=None))
    expected = list(read_lists(model, builder, lists(), bare, label=None))
    assert_same(found, expected, atol=1e-5)


@pytest.mark.parametrize("layout", ["block", "block-tenth", "block+query"])
@pytest.mark.parametrize("architecture", [*models.ARCHITECTURES, "mistral-window"])
def test_queries_of_lists_read_apart_share_a_pass(architecture, layout):
    model = models.loaded(architecture)
    builder = PromptBuilder(models.tokenizer(), PromptOptions(document_tokens=12, layout=layout))
    options = ReadOptions(keep_tokens=True, keep_max_logits=True)
    sizes = batch_sizes(model)
    expected = list(read_lists(model, builder, lists(), options, label=None))
    alone = len(sizes)
    found = list(
        read_lists(model, builder, lists(), options, budget=TokenBudget(10_000), label=None)
    )
    # The query and the content-free one: of all lists at once.
    assert len(sizes) - alone == alone - 2 * len(WORDS) + 2
    assert_same(found, expected, atol=2e-5)


@pytest.mark.parametrize("int8", [False, True])
def test_queries_of_stored_lists_are_all_that_is_read(int8):
    model = models.loaded("qwen3")
    builder = PromptBuilder(models.tokenizer(), PromptOptions(document_tokens=12, layout="block"))
    shelf = Shelf(DocumentStore(10**9, int8=int8, alone=True), state_of(model, None))
    bare = ReadOptions(calibrate=False)
    expected = list(read_lists(model, builder, lists(), bare, shelf=shelf, label=None))
    assert shelf.store.misses == len(models.TEXTS[:6]) and shelf.store.hits > 0
    misses, sizes = shelf.store.misses, batch_sizes(model)
    budget = TokenBudget(10_000)
    found = list(read_lists(model, builder, lists(), bare, budget=budget, shelf=shelf, label=None))
    assert len(sizes) == 1 and shelf.store.misses == misses
    assert_same(found, expected, atol=1e-5)
    # The rooms of all lists wait for the next ones.
    assert len(shelf.lender.free) == len(WORDS)


@pytest.mark.parametrize("layout", ["joint", "block"])
def test_a_list_alone_keeps_every_bit_and_the_order(layout):
    model = models.loaded()
    builder = PromptBuilder(models.tokenizer(), PromptOptions(document_tokens=12, layout=layout))
    expected = list(read_lists(model, builder, lists(), label=None))
    sizes = batch_sizes(model)
    budget = TokenBudget(0)
    found = list(read_lists(model, builder, lists(), budget=budget, label=None))
    assert_same(found, expected, rtol=0, atol=0)
    assert set(sizes) == {1}


def test_readings_go_on_after_memory_ran_out(caplog):
    model = models.loaded()
    builder = PromptBuilder(models.tokenizer(), PromptOptions(document_tokens=12))
    expected = list(read_lists(model, builder, lists(), label=None))
    refused = []

    def fail_once(module, positional, named):
        if len(named["input_ids"]) > 3 and not refused:
            refused.append(len(named["input_ids"]))
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    model.decoder.register_forward_pre_hook(fail_once, with_kwargs=True)
    budget = TokenBudget(10_000)
    with caplog.at_level(logging.WARNING):
        found = list(read_lists(model, builder, lists(), budget=budget, label=None))
    assert refused == [len(WORDS)]
    assert_same(found, expected, atol=2e-5)
    assert f"{len(WORDS)} lists of up to" in caplog.text and "did not fit" in caplog.text
    assert budget.tokens < 10_000


def test_a_list_that_does_not_fit_is_told_before_any_is_read():
    model = models.loaded()
    builder = PromptBuilder(models.tokenizer(), context=150)
    sizes = batch_sizes(model)
    two = [models.candidates(("short",)), models.candidates(query_id="long")]
    with pytest.raises(HeadRankError, match="query long"):
        next(read_lists(model, builder, two, budget=TokenBudget(10_000), label=None))
    assert not sizes
