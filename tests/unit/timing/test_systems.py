"""What a ranking costs: turns, clocks and counts."""

from __future__ import annotations

import time

import numpy as np
import pytest
from transformers import BertConfig, BertModel

from headrank.baselines.generation.model import load_generator
from headrank.baselines.generation.protocols import GenerativeMethod
from headrank.data.heads import Head, HeadSet
from headrank.errors import HeadRankError
from headrank.options.prompt import PromptOptions
from headrank.ranker.ranker import HeadRanker
from headrank.reading.document_store import DocumentStore
from headrank.timing.stopwatch import Work, alternate, costs, per_list, ratio
from headrank.timing.systems import attention_system, clock, encoder_system, generative_system
from tests.helpers import tiny_models as tiny


def ticking():
    """Return a clock that moves by what a task adds to it, and the task's hook."""
    state = {"time": 0.0}

    def add(seconds):
        state["time"] += seconds

    return (lambda: state["time"]), add


def test_tasks_take_turns_in_alternating_order():
    seen = []
    tasks = {name: lambda name=name: seen.append(name) for name in "abc"}
    times = alternate(tasks, 3)
    assert "".join(seen) == "cbaabccbaabc"  # the first round is not counted
    assert {name: len(values) for name, values in times.items()} == {"a": 3, "b": 3, "c": 3}
    with pytest.raises(HeadRankError, match="rounds is 0"):
        alternate(tasks, 0)


def test_ratios_are_those_of_the_rounds():
    now, add = ticking()
    slow = iter([9, 2, 4, 3])  # the first is the warm-up's
    times = alternate({"one": lambda: add(1), "other": lambda: add(next(slow))}, 3, now)
    assert ratio(times, "other", "one") == (3, 2, 4)


def test_cpu_seconds_leave_out_waiting():
    times = alternate({"wait": lambda: time.sleep(0.05)}, 2, clock("cpu"))
    assert times["wait"].max() < 0.03


def test_costs_are_summed_up_per_list():
    now, add = ticking()
    lists = [tiny.candidates(query_id=name) for name in ("q1", "q2")]
    passes = {"q1": 1, "q2": 3}

    def system(candidates):
        add(10 if candidates.query_id == "q1" else 30)
        return Work(passes[candidates.query_id], 100, 1)

    table = costs({"x": system}, lists, 2, now)
    assert len(table) == 4
    (row,) = per_list(table).to_dict("records")
    assert (row["seconds"], row["low"], row["high"]) == (20, 10, 30)
    assert (row["lists"], row["rounds"], row["passes"], row["tokens"]) == (2, 2, 2, 100)


def test_attention_counts_its_prompts_and_tokens():
    heads = HeadSet((Head(1, 1),))
    candidates = tiny.candidates()
    counted = {}
    for window in (None, 3):
        ranker = HeadRanker.from_pretrained(
            tiny.folder("llama"), heads, order="first-stage", window=window
        )
        counted[window] = attention_system(ranker)(candidates)
        prompts = [prompt for _, prompt in ranker._prompts(candidates, (candidates.query,))]
        assert counted[window].tokens == sum(prompt.length for prompt in prompts)
    assert (counted[None].passes, counted[3].passes) == (1, 2)


def test_generative_systems_count_passes():
    generator, short = load_generator(tiny.folder("llama")), PromptOptions(document_tokens=8)
    passes = {"listwise": 2, "pointwise": 6, "query-likelihood": 6}
    for protocol, count in passes.items():
        windows = {"window": 4, "stride": 2} if protocol == "listwise" else {}
        method = GenerativeMethod(protocol, **windows)
        work = generative_system(generator, method, short)(tiny.candidates())
        assert work.passes == count
        assert work.tokens == sum(
            (made.prompt_tokens + made.new_tokens)
            for made in method.rank(generator, [tiny.candidates()], short)
        )


def test_an_encoder_counts_its_batches(tmp_path):
    shape = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2}
    BertModel(BertConfig(vocab_size=420, num_hidden_layers=1, **shape)).save_pretrained(tmp_path)
    tiny.tokenizer().save_pretrained(tmp_path)
    work = encoder_system(tmp_path, max_tokens=8, batch=4)(tiny.candidates())
    assert work.passes == 2  # a query and six documents
    assert np.isclose(work.tokens, 7 * 8, atol=8)
    system = encoder_system(tmp_path, max_tokens=8, batch=4, stored=True)
    first, again = system(tiny.candidates()), system(tiny.candidates())
    assert first == work
    assert (again.passes, again.tokens) == (1, 6)  # the query alone
    other = system(tiny.candidates(skip=2, query_id="q2"))
    assert other == again


def test_a_ranker_with_a_store_is_timed_behind_its_documents():
    made = {"prompt": {"layout": "block"}, "method": "icr", "dtype": "float32"}
    folder, candidates = tiny.folder("qwen3"), tiny.candidates()
    plain = attention_system(HeadRanker.from_pretrained(folder, **made))(candidates)
    store = DocumentStore()
    system = attention_system(HeadRanker.from_pretrained(folder, **made, store=store))
    stored = system(candidates)
    assert stored.passes == plain.passes == 1 and stored.layers == plain.layers
    suffix = plain.tokens - stored.tokens
    assert 0 < stored.tokens < plain.tokens and suffix > len(candidates.doc_ids)
    missed = store.misses
    system(candidates)
    assert store.misses == missed and store.hits >= len(candidates.doc_ids)
