"""Block layouts from the text on: tokens, refusals, and that no order, neighbour or place tells."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from headrank.data.candidates import CandidateList, Passage
from headrank.data.heads import Head, HeadSet
from headrank.errors import HeadRankError
from headrank.options.prompt import PromptOptions
from headrank.ranker.options import METHODS
from headrank.ranker.ranker import HeadRanker
from headrank.reading import apart
from headrank.reading.prompt import PromptBuilder
from headrank.workflow.provenance.manifest import prompt_digest
from tests.helpers import models
from tests.helpers import tiny_models as tiny

HEADS = HeadSet((Head(2, 3), Head(1, 0), Head(2, 1)))
BLOCK = PromptOptions(layout="block")
BEFORE = PromptOptions(layout="block+query")
KINDS = ["gpt2", "qwen", "qwen-nfc", "gemma"]


def moved(one: CandidateList, order) -> CandidateList:
    return replace(
        one,
        doc_ids=tuple(one.doc_ids[i] for i in order),
        passages=tuple(one.passages[i] for i in order),
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("options", [BLOCK, BEFORE])
def test_a_document_s_tokens_depend_on_it_alone(kind, options):
    tokenizer = models.tokenizer(kind)
    builder = PromptBuilder(tokenizer, options, 2048)
    one = models.candidates()
    whole = builder.build(one)
    for number in range(len(one.doc_ids)):
        alone = builder.build(moved(one, [number]))
        blocks = (whole.blocks.documents[number], alone.blocks.documents[0])
        tokens = [p.prefix[slice(*b)] for p, b in zip((whole, alone), blocks, strict=True)]
        assert tokens[0] == tokens[1]
        assert tokenizer.decode(tokens[0]).strip() == f"Passage: {one.passages[number].text}"
        span = slice(*whole.spans[number])
        assert tokenizer.decode(whole.prefix[span]).strip() == one.passages[number].text
    assert whole.prefix[: len(whole.blocks.heads[0])] == whole.blocks.heads[0]
    assert whole.blocks.offset == 256


def test_the_query_stands_before_the_documents_too():
    tokenizer = models.tokenizer("qwen")
    one = models.candidates()
    plain = PromptBuilder(tokenizer, BLOCK).build(one)
    both = PromptBuilder(tokenizer, BEFORE).build(one)
    (head,) = plain.blocks.heads
    assert tokenizer.decode(head) == "<|im_start|>user\nHere are some passages:\n\n"
    # The calibration has its own, without the query: its reading knows nothing of it.
    assert [tokenizer.decode(ids) for ids in both.blocks.heads] == [
        f"<|im_start|>user\nQuery: {query}\n\nHere are some passages:\n\n"
        for query in (one.query, "N/A")
    ]
    assert both.suffixes == plain.suffixes
    assert both.spans[0][0] - plain.spans[0][0] == len(both.blocks.heads[0]) - len(head)


def test_the_order_of_computing_depends_on_the_documents_alone():
    builder = PromptBuilder(models.tokenizer(), BLOCK)
    texts = [*models.TEXTS[:4], models.TEXTS[1], "A loan."]
    one = models.candidates(texts)
    names = []
    for order in itertools.islice(itertools.permutations(range(6)), 0, 720, 37):
        prompt = builder.build(moved(one, order))
        names.append([one.doc_ids[order[place]] for place in prompt.blocks.order])
    assert all(found == names[0] for found in names)
    widths = builder.build(one).blocks.widths
    assert widths[[int(name[1]) for name in names[0]]].tolist() == sorted(widths)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layout": "rows"}, r"allowed: joint, block, block\+query, block-tenth"),
        (
            {"layout": "block", "marker": "[{number}] "},
            r"allowed in layout block: a text without \{number\}, since each document",
        ),
        (
            {"query_offset": 300},
            "query_offset is 300; allowed: 256 in layout joint",
        ),
        (
            {"layout": "block", "query_offset": 0},
            "query_offset is 0; allowed: a whole",
        ),
        (
            {"layout": "block+query", "document_tokens": 300},
            r"query_offset is 256; allowed: more than document_tokens \(300\), by",
        ),
    ],
)
def test_options_that_do_not_go_together_are_refused(changes, message):
    with pytest.raises(HeadRankError, match=message):
        PromptOptions(**changes)


def test_a_budget_without_room_for_marker_and_separator_is_refused():
    tokenizer = models.tokenizer()
    options = replace(BLOCK, document_tokens=40, query_offset=42)
    with pytest.raises(HeadRankError, match="set query_offset to at least") as error:
        PromptBuilder(tokenizer, options)
    least = int(str(error.value).split("at least ")[1].split(",")[0])
    long = models.candidates([" ".join(models.TEXTS)] * 2)
    exact = replace(options, query_offset=least)
    prompt = PromptBuilder(tokenizer, exact).build(long)
    assert 36 < prompt.spans[0][1] - prompt.spans[0][0] <= 40
    with pytest.raises(HeadRankError, match=f"at least {least}"):
        PromptBuilder(tokenizer, replace(options, query_offset=least - 1))


def test_a_document_longer_than_the_room_is_refused_or_cut():
    tokenizer = models.tokenizer()
    one = models.candidates([models.TEXTS[0], " ".join(models.TEXTS)])
    small = replace(BLOCK, query_offset=60)
    with pytest.raises(HeadRankError, match=r"q1: document d1 takes .* more than query_offset 60"):
        PromptBuilder(tokenizer, small).build(one)
    cut = PromptBuilder(tokenizer, replace(small, overlong="truncate")).build(one)
    whole = PromptBuilder(tokenizer, BLOCK).build(one)
    assert 50 < cut.blocks.widths[1] <= 60
    assert cut.blocks.widths[0] == whole.blocks.widths[0]
    none = replace(small, query_offset=3, overlong="truncate")
    with pytest.raises(HeadRankError, match="more than query_offset 3"):
        PromptBuilder(tokenizer, none).build(one)


def test_the_context_bounds_the_query_and_not_the_list():
    tokenizer = models.tokenizer()
    texts = [models.TEXTS[i % 6] for i in range(60)]
    one = models.candidates(texts)
    with pytest.raises(HeadRankError, match="60 documents do not fit"):
        PromptBuilder(tokenizer, PromptOptions(), 400).build(one)
    assert len(PromptBuilder(tokenizer, BLOCK, 400).build(one).prefix) > 1000
    with pytest.raises(HeadRankError, match=r"end at token \d+, the model's context is 290"):
        PromptBuilder(tokenizer, BLOCK, 290).build(one)


@pytest.mark.parametrize("layout", ["block", "block+query"])
@pytest.mark.parametrize("method", METHODS)
def test_every_method_ranks_alike_in_any_order(method, layout):
    prompt = PromptOptions(layout=layout)
    one = tiny.candidates()
    found = {}
    for order in ("first-stage", "reversed", "shuffled", "shuffled-2"):
        ranker = HeadRanker.from_pretrained(
            tiny.folder("gemma3"),
            None if method == "icr" else HEADS,
            method=method,
            prompt=replace(prompt, query_offset=100),
            order=order,
        )
        (ranking,) = ranker.rerank_lists([one])
        found[order] = [(passage.doc_id, passage.score) for passage in ranking]
    assert all(ranking == found["reversed"] for ranking in found.values())
    assert len({score for _, score in found["reversed"]}) == len(one.doc_ids)


def test_a_document_s_score_moves_only_by_what_else_the_query_sees():
    """The keys of a document are those of any list: only the softmax's sum differs."""
    ranker = HeadRanker.from_pretrained(tiny.folder("llama"), HEADS, prompt=BLOCK)
    one = tiny.candidates()
    few = moved(one, [0, 2, 3])
    whole, part = (
        {p.doc_id: p.score for p in ranking} for ranking in ranker.rerank_lists([one, few])
    )
    assert set(part) == {"d0", "d2", "d3"}
    assert all(part[name] > whole[name] for name in part)


def test_many_queries_read_the_documents_once(monkeypatch):
    one = tiny.candidates()
    ranker = HeadRanker.from_pretrained(tiny.folder("qwen3"), HEADS, prompt=BLOCK)
    queries = ["what does a policy pay", "who barks at night", "a loan"]
    alone = [ranker.rerank(query, one.passages) for query in queries]
    filled = []
    whole = apart.fill

    def fill(*args, **more):
        filled.append(1)
        whole(*args, **more)

    monkeypatch.setattr(apart, "fill", fill)
    assert ranker.rerank_queries(queries, one.passages) == alone
    assert len(filled) == 1


def test_cards_and_digests_of_a_joint_prompt_are_what_they_were():
    card = PromptOptions(document_tokens=80).described()
    assert "layout" not in card and "query_offset" not in card
    assert card["marker"] == "[{number}] "
    assert PromptOptions(**card) == PromptOptions(document_tokens=80)
    digests = {
        prompt_digest(options)
        for options in (
            {},
            {"layout": "block"},
            {"layout": "block+query"},
            {"layout": "block", "query_offset": 300},
            {"layout": "block-tenth"},
        )
    }
    assert len(digests) == 5
    assert prompt_digest({}) == prompt_digest({"layout": "joint", "marker": "[{number}] "})
    for options in (BLOCK, replace(BEFORE, query_offset=300)):
        assert PromptOptions(**options.described()) == options


def test_another_layout_takes_its_own_marker_and_keeps_a_chosen_one():
    joint = PromptOptions(document_tokens=80)
    block = joint.changed(layout="block")
    assert (block.marker, block.document_tokens) == ("Passage: ", 80)
    assert block.changed(query_offset=300).changed(layout="joint") == joint
    own = PromptOptions(marker="Text: ").changed(layout="block+query")
    assert own.marker == "Text: "
    with pytest.raises(HeadRankError, match=r"marker is '\{number\}: '"):
        PromptOptions(marker="{number}: ").changed(layout="block")


def test_scores_of_a_long_list_do_not_depend_on_its_order():
    generator = np.random.default_rng(3)
    words = " ".join(models.TEXTS).split()
    passages = [
        Passage("", " ".join(generator.choice(words, size=generator.integers(3, 30))))
        for _ in range(120)
    ]
    one = CandidateList("q", "a loan", tuple(f"d{i}" for i in range(120)), tuple(passages))
    ranker = HeadRanker.from_pretrained(
        tiny.folder("qwen2"), HEADS, prompt=BLOCK, order="first-stage"
    )
    # Far more tokens than the context of 1024.
    assert ranker.work(one)[1] > 3000
    found = [
        {p.doc_id: p.score for p in ranking}
        for ranking in ranker.rerank_lists([one, moved(one, generator.permutation(120))])
    ]
    assert found[0] == found[1]


def test_fit_keeps_what_the_room_before_the_query_holds():
    tokenizer = models.tokenizer()
    one = models.candidates([models.TEXTS[0], " ".join(models.TEXTS)])
    options = replace(BLOCK, document_tokens=5, query_offset=60)
    cut = PromptBuilder(tokenizer, options).build(one)
    fitted = PromptBuilder(tokenizer, options, fit=True).build(one)
    whole = PromptBuilder(tokenizer, BLOCK).build(one)
    assert max(cut.widths) <= 5
    assert fitted.widths[0] == whole.widths[0]
    assert 50 < fitted.widths[1] < 60 < whole.widths[1]
    for prompt in (cut, fitted):
        assert all(
            tokens == width if width == kept else tokens > kept
            for tokens, kept, width in zip(prompt.tokens, prompt.widths, whole.widths, strict=True)
        )


@pytest.mark.parametrize("layout", ["block", "block+query", "block-tenth"])
def test_fit_without_a_budget_cuts_what_has_no_room_before_the_query(layout):
    tokenizer = models.tokenizer()
    one = models.candidates([models.TEXTS[0], " ".join(models.TEXTS)])
    options = PromptOptions(layout=layout, query_offset=60)
    fitted = PromptBuilder(tokenizer, options, fit=True).build(one)
    room = PromptBuilder(tokenizer, replace(options, overlong="truncate")).build(one)
    assert fitted == room
    assert fitted.widths[0] == fitted.tokens[0]
    assert 50 < fitted.widths[1] < 60 < fitted.tokens[1]
    assert max(fitted.blocks.widths) <= 60
    with pytest.raises(HeadRankError, match="more than query_offset 60"):
        PromptBuilder(tokenizer, options).build(one)
