"""What a user gives to the Python library is checked at once: key, value, what is allowed."""

from __future__ import annotations

import numpy as np
import pytest

from headrank import (
    AlignRecipe,
    HeadRanker,
    LabelledQuery,
    PromptOptions,
    align_heads,
    profile_heads,
)
from headrank.data.candidates import as_candidates
from headrank.data.heads import HeadSet
from headrank.errors import HeadRankError
from headrank.options.fold import Fold
from headrank.ranker.options import RankerOptions
from tests.helpers import tiny_models as tiny
from tests.helpers.rankers import HEADS, QUERY, examples, ranker, scores


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seed": "x"}, "seed is 'x'; allowed: a whole number from 0"),
        ({"seed": -1}, "seed is -1; allowed: a whole number from 0"),
        ({"seed": True}, "seed is True; allowed"),
        ({"seed": 1.0}, r"seed is 1\.0; allowed"),
        ({"window": "20"}, "window is '20'; allowed: a whole number from 2, or None for one"),
        ({"window": 1}, "window is 1; allowed"),
        ({"order": 3}, "order 3 is unknown; allowed: first-stage"),
        ({"method": 3}, "method 3 is unknown; allowed: headrank, icr"),
        ({"method": ["core"]}, r"method \['core'\] is unknown"),
        ({"fold": "max-logit"}, "fold is 'max-logit'; allowed: Fold, or a mapping of its fields"),
        ({"fold": {"agregation": "sum"}}, r"fold\.agregation is not a key; .*'aggregation'"),
        ({"fold": {"aggregation": "max"}}, r"fold\.aggregation is 'max'; allowed: sum"),
        ({"prompt": "Rank."}, "prompt is 'Rank.'; allowed: PromptOptions, or a mapping"),
        ({"prompt": {"layot": "block"}}, r"prompt\.layot is not a key; .*mean 'layout'"),
        ({"prompt": {3: "block"}}, r"prompt is \{3: 'block'\}; allowed: PromptOptions, or"),
    ],
)
def test_options_of_another_type_are_refused_at_once(settings, message, monkeypatch):
    with pytest.raises(HeadRankError, match=message):
        RankerOptions(**settings)
    monkeypatch.setattr(
        "headrank.ranker.saved.load_model", lambda *a, **k: pytest.fail("a model was loaded")
    )
    with pytest.raises(HeadRankError, match=message):
        ranker(**{"order": "shuffled"} | settings)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((3, HEADS), "path_or_id is 3; allowed: a path, or a hub repository"),
        ((None, HEADS), "path_or_id is None; allowed: a path"),
        (("m", 3), "heads is 3; allowed: a path, or a HeadSet, or the name of a published set"),
        (("m", HEADS, 3), "adapter is 3; allowed: a path, or None"),
    ],
)
def test_paths_are_paths(arguments, message, monkeypatch):
    monkeypatch.setattr("headrank.ranker.saved.fetch_ranker", lambda *a: None)
    with pytest.raises(HeadRankError, match=message):
        HeadRanker.from_pretrained(*arguments)


@pytest.mark.parametrize(
    ("name", "message"), [("model", "model is 3"), ("store", "store is 3; allowed: a path, or a D")]
)
def test_other_folders_are_paths(name, message):
    with pytest.raises(HeadRankError, match=message):
        ranker(**{name: 3})


def test_a_mapping_does_for_prompt_and_for_fold():
    fold = RankerOptions(fold={"aggregation": "max-logit"}).fold
    assert fold == Fold(aggregation="max-logit")
    # It changes the method's own fold, as a prompt's mapping changes the heads' own prompt.
    assert RankerOptions("core", fold={"outliers": False}).fold == Fold(calibrate=True)
    assert RankerOptions(prompt={"layout": "block"}).prompt == PromptOptions(layout="block")
    mine = ranker(fold={"aggregation": "max-logit"}, prompt={"layout": "block"})
    other = ranker(fold=Fold(aggregation="max-logit"), prompt=PromptOptions(layout="block"))
    assert scores(mine.rerank(QUERY, tiny.TEXTS)) == scores(other.rerank(QUERY, tiny.TEXTS))


def test_numbers_of_numpy_are_numbers():
    made = RankerOptions(seed=np.int64(5), window=np.int32(4))
    assert (made.seed, type(made.seed), made.window) == (5, int, 4)
    found = ranker().rerank(QUERY, tiny.TEXTS, ids=np.arange(6), top_k=np.int64(2))
    assert len(found) == 2 and {one.doc_id for one in found} < set("012345")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda r: r.rerank_lists([], batch="2"), "batch is '2'; allowed: a whole number from 1"),
        (lambda r: r.rerank_lists([], batch=0), "batch is 0; allowed: a whole number from 1"),
        (lambda r: r.rerank_lists([], budget=5), "budget is 5; allowed: a TokenBudget, or None"),
        (lambda r: r.rerank_lists({}), "lists is a dict; give a list"),
        (lambda r: list(r.rerank_lists([("q", tiny.TEXTS)])), r"lists hold \('q', .*CandidateList"),
        (lambda r: r.sizes("q"), "lists hold 'q'; each must be a CandidateList"),
        (lambda r: r.rerank(QUERY, tiny.TEXTS, top_k="3"), "top_k is '3'; allowed: a whole number"),
    ],
)
def test_calls_are_checked_before_anything_is_read(call, message):
    with pytest.raises(HeadRankError, match=message):
        call(ranker())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"ids": {"a", "b"}}, "ids is a set; give a list"),
        ({"ids": "ab"}, "ids is one text; give a list of texts"),
        ({"ids": [None, "b"]}, "id 1 of 2 is None; allowed: a text or a whole number"),
        ({"ids": ["a", 1.5]}, r"id 2 of 2 is 1\.5; allowed"),
        ({"ids": ["a", True]}, "id 2 of 2 is True; allowed"),
        ({"query_id": ["q"]}, r"query_id is \['q'\]; allowed: a text or a whole number"),
    ],
)
def test_ids_are_texts_or_whole_numbers_in_an_order(given, message):
    with pytest.raises(HeadRankError, match=message):
        as_candidates("why", ["one", "two"], **given)


def test_ids_that_are_numbers_become_their_digits():
    assert as_candidates("why", ["one", "two"], ids=(7, 8), query_id=3).doc_ids == ("7", "8")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"documents": 1}, "documents is 1; allowed: a whole number from 2"),
        ({"documents": "12"}, "documents is '12'; allowed"),
        ({"seed": None}, "seed is None; allowed: a whole number from 0"),
        ({"options": {"epoch": 1}}, r"alignment\.epoch is not a key; .*'epochs'"),
        ({"pairs": 16}, "pairs is 16; allowed: PairOptions, or a mapping of its fields"),
        ({"prompt": "x"}, "prompt is 'x'; allowed: PromptOptions"),
        ({"checkpoint": 3}, "checkpoint is 3; allowed: a path, or None"),
    ],
)
def test_a_recipe_is_checked_when_it_is_made(settings, message):
    with pytest.raises(HeadRankError, match=message):
        AlignRecipe(**settings)


def test_a_mapping_changes_the_prompt_that_the_heads_were_selected_with():
    own = PromptOptions(instruction="Rank.", document_tokens=9)
    heads = HeadSet(HEADS.heads, {"prompt": own.described()})
    assert AlignRecipe().prompt_for(heads) == own
    changed = AlignRecipe(prompt={"document_tokens": 64}).prompt_for(heads)
    assert changed == PromptOptions(instruction="Rank.", document_tokens=64)
    assert AlignRecipe(prompt=PromptOptions()).prompt_for(heads) == PromptOptions()


def test_profile_heads_checks_its_settings_first():
    for settings, message in (
        ({"order": 3}, "order 3 is unknown"),
        ({"seed": "x"}, "seed is 'x'; allowed: a whole number from 0"),
        ({"prompt": {"layot": "block"}}, r"prompt\.layot is not a key"),
    ):
        with pytest.raises(HeadRankError, match=message):
            profile_heads("no model", examples(2), **settings)
    with pytest.raises(HeadRankError, match="model is 3; allowed: a path, or a hub repository"):
        profile_heads(3, examples(2))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([("q", tiny.TEXTS, [1] * 6)], "examples: entry 1 is a tuple; give LabelledQuery"),
        ("q", "examples is one text; give a list of LabelledQuery objects"),
        (3, "examples is an int; give a list"),
        ([LabelledQuery("q", tiny.TEXTS, 3)], "query q: grades is an int; give a list"),
        ([LabelledQuery("q", tiny.TEXTS, {0, 1})], "query q: grades is a set; give a list"),
    ],
)
def test_labelled_queries_are_lists_of_their_kind(given, message):
    with pytest.raises(HeadRankError, match=message):
        profile_heads("no model", given)


def test_align_heads_takes_the_path_of_heads(tmp_path):
    HEADS.save(tmp_path / "heads.json")
    model = tiny.folder("qwen3")
    with pytest.raises(HeadRankError, match="leaves 2 to train on and 0 to validate on"):
        align_heads(model, tmp_path / "heads.json", examples(2), tmp_path / "a")
    with pytest.raises(HeadRankError, match="heads is 3; allowed: a path, or a HeadSet"):
        align_heads(model, 3, examples(2), tmp_path / "a")
    with pytest.raises(HeadRankError, match=r"no\.json: no such file"):
        align_heads(model, str(tmp_path / "no.json"), examples(2), tmp_path / "a")
    with pytest.raises(HeadRankError, match=r"are of meta-llama/.*; .* is qwen3"):
        align_heads(model, "core/llama-3.1-8b", examples(6), tmp_path / "a")
    with pytest.raises(HeadRankError, match="recipe is 3; allowed: an AlignRecipe"):
        align_heads(model, HEADS, examples(2), tmp_path / "a", recipe=3)
