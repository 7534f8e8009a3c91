"""The generative baselines: windows, prompts, scores against transformers, costs."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from headrank.baselines.generation.batched import greedy_together
from headrank.baselines.generation.model import greedy, load_generator, next_logits
from headrank.baselines.generation.protocols import (
    GenerativeMethod,
    rank_listwise,
    rank_pointwise,
    rank_query_likelihood,
)
from headrank.baselines.generation.windows import windows
from headrank.data.candidates import CandidateList, Passage
from headrank.errors import HeadRankError
from headrank.options.prompt import PromptOptions
from tests.helpers import tiny_models as tiny

SHORT = PromptOptions(document_tokens=8)
# As Qwen3 has it: without thoughts the template writes their empty frame itself.
THINKING = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)


@pytest.fixture(scope="module")
def generator():
    return load_generator(tiny.folder("qwen3"))


@pytest.fixture
def thinker(generator):
    """Return the model with a tokenizer of its own, whose template can ask for thoughts."""
    tokenizer = load_generator(tiny.folder("qwen3")).tokenizer
    tokenizer.chat_template = THINKING
    return replace(generator, tokenizer=tokenizer)


def long_list(count: int) -> CandidateList:
    return CandidateList(
        "q",
        "what pays",
        tuple(f"d{n}" for n in range(count)),
        tuple(Passage("", f"passage {n}") for n in range(count)),
    )


def says(text: str, seen: list | None = None):
    """Return a writer of one text, which notes the prompts it gets."""

    def write(generator, prompts, most):
        if seen is not None:
            seen.extend(zip(map(generator.tokenizer.decode, prompts), most, strict=True))
        return [generator.tokenizer.encode(text, add_special_tokens=False)] * len(prompts)

    return write


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (100, [(a, a + 20) for a in range(80, -1, -10)]),
        (40, [(20, 40), (10, 30), (0, 20)]),
        (20, [(0, 20)]),
        (7, [(0, 7)]),
        (25, [(5, 25), (0, 15)]),
    ],
)
def test_windows_slide_from_the_end_to_the_head(count, expected):
    assert list(windows(count)) == expected


@given(st.integers(1, 200), st.integers(1, 30), st.integers(1, 30))
def test_windows_leave_no_document_out(count, window, stride):
    if stride > window:
        with pytest.raises(HeadRankError, match="stride"):
            list(windows(count, window, stride))
        return
    found = list(windows(count, window, stride))
    assert {place for start, stop in found for place in range(start, stop)} == set(range(count))
    assert found[-1][0] == 0
    assert all(stop - start <= window for start, stop in found)


def test_listwise_moves_the_best_through_the_windows(generator):
    """An oracle that puts the highest document number first brings the last ones to the head."""
    seen = []

    def answer(ids):
        text = generator.tokenizer.decode(ids)
        seen.append(text)
        numbers = [int(number) for number in re.findall(r"\] passage (\d+)", text)]
        order = sorted(range(len(numbers)), key=lambda i: -numbers[i])
        return generator.tokenizer.encode(" > ".join(f"[{i + 1}]" for i in order))

    def write(generator, prompts, most):
        return [answer(ids) for ids in prompts]

    (result,) = rank_listwise(generator, [long_list(12)], window=4, stride=2, write=write)
    order = np.argsort(-result.scores).tolist()
    assert order[:2] == [11, 10]
    assert sorted(order) == list(range(12))
    assert (result.passes, result.malformed) == (5, 0)
    assert [answer.start for answer in result.answers] == [8, 6, 4, 2, 0]
    assert all("Query: what pays" in text for text in seen)


def test_malformed_answers_are_counted_and_keep_the_order(generator):
    (result,) = rank_listwise(generator, [long_list(6)], window=4, stride=2, write=lambda *_: [[]])
    assert np.argsort(-result.scores).tolist() == list(range(6))
    assert (result.passes, result.malformed, result.new_tokens) == (2, 2, 0)


def test_a_recorded_answer_is_repaired_in_its_window_only(generator):
    seen = []
    write = says("Sure: [2] > [2] > [9] > [4]", seen)
    (result,) = rank_listwise(generator, [long_list(6)], window=4, stride=4, write=write)
    # Places 2..5 become 3, 5, 2, 4; then the window of the first two sees [2] alone.
    assert np.argsort(-result.scores).tolist() == [1, 0, 3, 5, 2, 4]
    first, second = result.answers
    assert (first.start, first.order, second.start) == (2, (1, 3, 0, 2), 0)
    assert (first.missing, first.repeated, first.out_of_range) == (2, 1, 1)
    assert (second.missing, second.repeated, second.out_of_range) == (1, 1, 2)
    assert first.other_text and first.repaired
    # This tokenizer makes more than 24 tokens of the text.
    assert first.cut
    assert [most for _, most in seen] == [24, 12]


def test_greedy_decoding_equals_transformers(generator):
    ids = generator.tokenizer.encode("what does a policy pay")
    expected = generator.model.generate(
        torch.tensor([ids]), max_new_tokens=12, do_sample=False, pad_token_id=0
    )[0, len(ids) :].tolist()
    stops = [place for place, token in enumerate(expected) if token in generator.stop]
    assert greedy(generator, ids, 12) == (expected[: stops[0]] if stops else expected)


def prompts_of(generator):
    """Return prompts of different lengths, and limits that end some answers early."""
    texts = [" ".join(tiny.TEXTS[:n]) for n in (1, 4, 2, 6, 3)]
    return [generator.tokenizer.encode(text) for text in texts], [12, 5, 1, 0, 9]


@pytest.mark.parametrize("family", tiny.ARCHITECTURES)
def test_answers_written_together_are_those_written_alone(family):
    """Sliding windows, too: each row of a batch sees its own tokens and no padding."""
    own = load_generator(tiny.folder(family))
    prompts, most = prompts_of(own)
    alone = [greedy(own, ids, limit) for ids, limit in zip(prompts, most, strict=True)]
    # Most end at their limit; an end of the answer is put where the longest has written three.
    for stop in (own.stop, own.stop | {alone[0][3]}):
        ending = replace(own, stop=frozenset(stop))
        expected = [greedy(ending, ids, limit) for ids, limit in zip(prompts, most, strict=True)]
        assert greedy_together(ending, prompts, most) == expected
    assert len(expected[0]) <= 3
    assert [len(one) for one in expected][2:4] == [1, 0] or stop & set(alone[2])


def test_lists_side_by_side_are_asked_window_by_window(generator):
    """A list of one window is done when the others go on to their next."""
    seen = []

    def write(generator, prompts, most):
        seen.append(len(prompts))
        return greedy_together(generator, prompts, most)

    lists = [long_list(12), long_list(3), long_list(8)]
    method = GenerativeMethod("listwise", window=4, stride=2, batch=3)
    together = method.rank(generator, lists, SHORT, write)
    assert seen == [3, 2, 2, 1, 1]
    alone = [one for item in lists for one in method.rank(generator, [item], SHORT)]
    for one, other in zip(together, alone, strict=True):
        assert one.scores.tolist() == other.scores.tolist()
        assert (one.passes, one.prompt_tokens, one.new_tokens, one.answers) == (
            *(other.passes, other.prompt_tokens, other.new_tokens, other.answers),
        )


def test_nan_in_a_batch_is_refused(generator):
    broken = load_generator(tiny.folder("qwen3"))
    prompts, most = prompts_of(broken)
    broken.model.model.norm.weight.fill_(float("nan"))
    with pytest.raises(HeadRankError, match="the model gives NaN after"):
        greedy_together(broken, prompts, most)


def test_every_end_of_an_answer_is_known(tmp_path, generator):
    generator.model.save_pretrained(tmp_path)
    generator.tokenizer.save_pretrained(tmp_path)
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": [7, 9]}')
    assert {7, 9, generator.tokenizer.eos_token_id} <= load_generator(tmp_path).stop


def test_listwise_runs_on_a_model(generator):
    (result,) = rank_listwise(generator, [tiny.candidates()], prompt=SHORT)
    assert sorted(result.scores.tolist()) == [1, 2, 3, 4, 5, 6]
    assert result.passes == len(result.answers) == 1
    assert result.prompt_tokens > 6 * 8
    assert result.answers[0].cut == (result.new_tokens == 36)


def test_thoughts_are_asked_for_and_not_read(thinker):
    seen = []
    answer = "<think>\nSurely [1] > [2]?\n</think>\n\n[3] > [1] > [2]"
    (result,) = rank_listwise(
        thinker, [long_list(3)], thinking_tokens=50, write=says(answer, seen), prompt=SHORT
    )
    assert result.scores.tolist() == [2, 1, 3]
    assert result.answers[0].well_formed
    assert result.answers[0].text == answer
    text, most = seen[0]
    assert text.endswith("assistant\n") and most == 50 + 18
    rank_listwise(thinker, [long_list(3)], write=says("[1] > [2] > [3]", seen), prompt=SHORT)
    text, most = seen[1]
    assert text.endswith("</think>\n\n") and most == 18


def test_thinking_is_refused_where_the_template_has_no_switch(generator, thinker):
    method = GenerativeMethod("listwise", thinking=True, thinking_tokens=20)
    with pytest.raises(HeadRankError, match=r"no enable_thinking.*set thinking: false"):
        method.rank(generator, [long_list(3)])
    with pytest.raises(HeadRankError, match="no enable_thinking"):
        method.rank(thinker, [long_list(3)], PromptOptions(chat=False))


def forward(generator, *parts: str) -> torch.Tensor:
    """Return ``[tokens, vocabulary]`` logits of transformers' own forward, in float64.

    No token reaches from one part of a prompt into the next.
    """
    encode = generator.tokenizer.encode
    ids = [token for part in parts for token in encode(part, add_special_tokens=False)]
    with torch.no_grad():
        return generator.model(torch.tensor([ids])).logits[0].double()


def test_pointwise_is_the_log_odds_of_yes(generator):
    result = rank_pointwise(generator, tiny.candidates(), prompt=SHORT)
    assert (result.passes, result.new_tokens) == (6, 0)
    assert len(set(result.scores.tolist())) == 6
    alone = rank_pointwise(generator, tiny.candidates(skip=5), prompt=SHORT)
    assert alone.scores[0] == pytest.approx(result.scores[5], rel=1e-5)
    whole = rank_pointwise(generator, tiny.candidates())
    tokenizer = generator.tokenizer
    yes, no = (
        sorted({tokenizer.encode(form, add_special_tokens=False)[0] for form in forms})
        for forms in (("yes", "Yes"), ("no", "No"))
    )
    for text, score, answer in zip(tiny.TEXTS, whole.scores, whole.answers, strict=True):
        logits = forward(
            generator,
            "<|im_start|>user\n",
            f"Passage: {text}\n\n",
            "Does the passage answer the query? Reply with yes or no.\n\nQuery: what does a policy "
            "pay",
            "<|im_end|>\n<|im_start|>assistant\n",
        )[-1]
        odds = logits[yes].logsumexp(0) - logits[no].logsumexp(0)
        assert score == pytest.approx(float(odds), abs=1e-4)
        best = int(logits.argmax())
        assert answer.text == tokenizer.decode([best])
        assert answer.well_formed == (best in [*yes, *no]) and not answer.repaired


def test_query_likelihood_is_the_mean_log_probability_of_the_query(generator):
    result = rank_query_likelihood(generator, tiny.candidates())
    assert (result.passes, result.new_tokens, result.answers) == (6, 0, ())
    query = generator.tokenizer.encode("what does a policy pay", add_special_tokens=False)
    for text, score in zip(tiny.TEXTS, result.scores, strict=True):
        logits = forward(
            generator,
            "<|im_start|>user\n",
            f"Passage: {text}\n\n",
            "Write a search query that this passage answers.\n",
            "<|im_end|>\n<|im_start|>assistant\n",
            "what does a policy pay",
        )
        known = logits.log_softmax(-1)[-len(query) - 1 : -1]
        expected = float(known[range(len(query)), query].mean())
        assert score == pytest.approx(expected, abs=1e-5)
    assert np.ptp(result.scores) > 0.01


def test_a_query_cannot_end_its_own_answer(generator):
    """Control tokens in a query are scored as the characters they are made of."""
    plain = rank_query_likelihood(generator, tiny.candidates("a b"))
    marked = rank_query_likelihood(generator, tiny.candidates("a <|im_end|> b"))
    assert marked.prompt_tokens > plain.prompt_tokens + 6 * 3


def test_every_protocol_leaves_room_for_its_answer(generator):
    text = " ".join(["policy"] * 2000)
    candidates = CandidateList("q", "what pays", ("d",), (Passage("", text),))
    for name, kept in (("listwise", 6), ("pointwise", 1), ("query-likelihood", None)):
        method = GenerativeMethod(name)
        with pytest.raises(HeadRankError, match="set document_tokens to at most") as caught:
            method.rank(generator, [candidates])
        if kept is not None:
            assert f"({kept} more tokens are kept for the answer)" in str(caught.value)
        (cut,) = method.rank(generator, [candidates], PromptOptions(overlong="truncate"))
        assert cut.prompt_tokens + (kept or 0) <= generator.context
        assert cut.prompt_tokens > generator.context - 20
    with pytest.raises(HeadRankError, match="2054 tokens are kept for the answer"):
        GenerativeMethod("listwise", thinking=True).rank(generator, [candidates])


def test_methods_are_refused_by_name():
    for changes, message in (
        (
            {"protocol": "setwise"},
            r"generative\.protocol is 'setwise'; allowed: listwise",
        ),
        ({"stride": 30}, "stride is 30; allowed: at most window, 20"),
        ({"window": 1, "stride": 1}, "window is 1; allowed: a whole number from 2"),
        ({"thinking_tokens": 0}, "thinking_tokens is 0"),
        ({"batch": 0}, "batch is 0; allowed: a whole number from 1"),
        (
            {"protocol": "pointwise", "batch": 2},
            "batch is 2; allowed: nothing, since",
        ),
        (
            {"protocol": "pointwise", "thinking": True},
            "thinking is true; allowed: nothing, since",
        ),
    ):
        with pytest.raises(HeadRankError, match=message):
            GenerativeMethod(**({"protocol": "listwise"} | changes))


def test_nothing_to_load_is_an_error(tmp_path):
    with pytest.raises(HeadRankError, match="no model can be loaded"):
        load_generator(tmp_path)
    with pytest.raises(HeadRankError, match="dtype 'int8' is unknown"):
        load_generator(tmp_path, dtype="int8")


def test_weights_that_are_absent_or_no_numbers_are_refused(tmp_path, generator):
    generator.model.save_pretrained(tmp_path)
    generator.tokenizer.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    name = "model.layers.1.self_attn.q_proj.weight"
    kept = weights.pop(name)
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(HeadRankError, match=f"1 weights are missing, first {name}"):
        load_generator(tmp_path)
    # Attention can turn NaN into numbers, so the weights themselves are looked at.
    weights[name] = torch.full_like(kept, float("nan"))
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(HeadRankError, match=f"weights {name} hold NaN"):
        load_generator(tmp_path)


def test_logits_that_are_no_numbers_are_refused():
    broken = load_generator(tiny.folder("qwen3"))
    broken.model.model.norm.weight.fill_(float("nan"))
    with pytest.raises(HeadRankError, match="the model gives NaN after 3 tokens"):
        next_logits(broken, [5, 6, 7])
