"""Heads that slide over a window are marked, and never read a document that they cannot see."""

from dataclasses import replace

import numpy as np
import pytest

from headrank.align.forward import selected_mass
from headrank.data.heads import Head, HeadSet
from headrank.data.trec import Qrels
from headrank.errors import HeadRankError
from headrank.evaluation.head_controls import LAYER_0, head_controls, ndcg_by_heads
from headrank.heads.criteria import CRITERIA
from headrank.heads.fold import fold, rank
from headrank.heads.profile import Profile, profile_heads
from headrank.heads.profiling import ProfileSettings, profile_lists
from headrank.io.arrays import ArrayFile
from headrank.io.files import read_json
from headrank.models.decoder import load_model
from headrank.options.fold import Fold
from headrank.options.prompt import PromptOptions
from headrank.options.selection import SelectionOptions
from headrank.ranker.options import RankerOptions
from headrank.ranker.ranker import HeadRanker
from headrank.reading import sliding_window
from headrank.reading.lists import read_list, read_lists
from headrank.reading.prompt import PromptBuilder
from headrank.reading.readings import load_shards, save_readings
from tests.helpers import models
from tests.helpers import tiny_models as tiny

WINDOWS = (24, None, 24, None)  # the tiny Gemma 3
BLIND, SEEING = HeadSet((Head(1, 0), Head(2, 3))), HeadSet((Head(1, 0), Head(3, 2)))
# The last document is relevant, and the only one that a sliding head can see.
QRELS = Qrels({"q1": {"d5": 2, "d2": 1}, "q2": {"d5": 1}})
NAMED = r"layer 2, head 3 has a sliding window of 24 tokens.*document d0, which ends \d+ tokens"


def lists():
    return [models.candidates(), models.candidates(query="who barks", query_id="q2")]


def builder_for(model) -> PromptBuilder:
    return PromptBuilder(model.tokenizer, PromptOptions(), model.context)


def saved(model, path, texts=None, **extra):
    """Return the saved readings of the lists, with what read_set notes of the model."""
    readings = list(read_lists(model, builder_for(model), texts or lists(), label=None))
    made = {"layers": model.layers, "heads": model.heads, "model_digest": model.digest}
    save_readings(path, readings, made | sliding_window.provenance(model) | extra)
    return load_shards([path])


@pytest.mark.parametrize(
    ("architecture", "changes", "windows"),
    [
        ("gemma3", {}, WINDOWS),
        ("mistral-window", {}, (24,) * 4),
        ("mistral", {}, None),
        ("llama", {}, None),
        ("qwen3", {"sliding_window": 24, "max_window_layers": 2}, None),
        (
            "qwen2",
            {"sliding_window": 24, "max_window_layers": 3, "use_sliding_window": True},
            (None, None, None, 24),
        ),
    ],
)
def test_windows_are_those_of_the_masks(architecture, changes, windows):
    model = models.loaded(architecture, **changes)
    assert sliding_window.layer_windows(model) == windows
    reading, _ = read_list(model, builder_for(model), lists()[0])
    hidden = reading.unseen()
    if windows is None:
        assert hidden is None and (reading.query > 0).all()
        assert sliding_window.provenance(model) == {}
    else:
        np.testing.assert_array_equal(hidden, reading.query == 0)
        assert hidden.any() and not hidden.all()
        # Without the distances the masses tell the same.
        np.testing.assert_array_equal(replace(reading, distance=None).unseen(), hidden)


def test_windows_at_their_edge():
    model = models.loaded("gemma3")
    prompt = builder_for(model).build(lists()[0])
    away = sliding_window.distances(prompt)
    for window, seen in ((int(away[2]), False), (int(away[2]) + 1, True)):
        edge = models.loaded("gemma3", sliding_window=window)
        reading, _ = read_list(edge, builder_for(edge), lists()[0])
        assert bool((reading.query[0, :, 2] > 0).all()) is seen
        assert bool((~reading.unseen()[0, :, 2]).all()) is seen


def test_windows_of_a_model_cut_or_wrapped():
    cut = load_model(tiny.folder("gemma3"), layers=3)
    assert sliding_window.layer_windows(cut) == (160, None, 160)
    wrapped = models.loaded("gemma3")
    wrapped.decoder = models.with_adapter(wrapped)
    assert sliding_window.layer_windows(wrapped) == WINDOWS


def test_a_blind_head_is_marked_and_never_selected(tmp_path):
    model = models.loaded("gemma3")
    shards = saved(model, tmp_path / "0.npz")
    profile = profile_heads(shards, QRELS)
    assert profile.provenance[sliding_window.KEY] == list(WINDOWS)
    # What it cannot see counts as nearly no mass: blind heads look better than any other.
    means = profile.discriminability["graded"].mean(axis=0)
    assert means[[0, 2]].max() > means[[1, 3]].max()
    chosen = profile.select(SelectionOptions(heads=8))
    assert {layer for layer, _ in chosen.pairs} == {1, 3}
    assert profile.stability(SelectionOptions(heads=8), 20, 0)[[0, 2]].sum() == 0
    with pytest.raises(HeadRankError, match=r"9 heads asked for, 8 are.*8 of 16 heads have a slid"):
        profile.select(SelectionOptions(heads=9))
    table = profile.table().set_index(["layer", "head"])
    assert table.loc[(2, 1), "window"] == 24 and table["window"].isna().sum() == 8
    assert not table.loc[(2, 1), "sees_all"] and table.loc[(3, 1), "sees_all"]
    profile.save(tmp_path / "p.npz")
    back = Profile.load(tmp_path / "p.npz")
    np.testing.assert_array_equal(back.blind, profile.blind)
    # The library's own profile of lists notes the same.
    settings = ProfileSettings(order="first-stage")
    own = profile_lists(model, lists(), QRELS, settings, progress=False)
    np.testing.assert_array_equal(own.blind, profile.blind)


def test_a_sliding_head_that_sees_every_document_may_be_selected(tmp_path):
    model = models.loaded("gemma3", sliding_window=400)
    profile = profile_heads(saved(model, tmp_path / "0.npz"), QRELS)
    assert not profile.blind.any() and profile.table()["sees_all"].all()
    chosen = profile.select(SelectionOptions(heads=16))
    assert {(head.layer, head.window) for head in chosen.heads} == {
        (0, 400),
        (1, None),
        (2, 400),
        (3, None),
    }
    chosen.save(tmp_path / "heads.json")
    assert HeadSet.load(tmp_path / "heads.json").heads == chosen.heads
    entries = read_json(tmp_path / "heads.json")["heads"]
    assert {entry["layer"] for entry in entries if "window" in entry} == {0, 2}


def test_a_fold_over_a_blind_head_is_an_error(tmp_path):
    shards = saved(models.loaded("gemma3"), tmp_path / "0.npz")
    with pytest.raises(HeadRankError, match=f"query q1: {NAMED}.*select heads again"):
        rank(shards, BLIND, Fold(aggregation="log-sum"), "headrank")
    with pytest.raises(HeadRankError, match="layer 2, head 3"):
        fold(next(iter(shards[0])), BLIND, Fold(calibrate=True))
    assert set(rank(shards, SEEING, Fold(), "headrank").rankings) == {"q1", "q2"}
    # ICR reads all heads, and some of them see each document.
    assert set(rank(shards, None, Fold(calibrate=True, outliers=True), "icr").rankings)


def test_heads_that_saw_short_lists_are_refused_on_long_ones(tmp_path):
    model = models.loaded("gemma3", sliding_window=120)
    short = [models.candidates(texts=models.TEXTS[:2], query_id=name) for name in ("q1", "q2")]
    qrels = Qrels({one.query_id: {"d0": 1} for one in short})
    profile = profile_heads(saved(model, tmp_path / "short.npz", short), qrels)
    assert not profile.blind.any()
    chosen = profile.select(SelectionOptions(heads=16))
    with pytest.raises(HeadRankError, match=r"sliding window of 120 tokens.*shorten the lists"):
        rank(saved(model, tmp_path / "long.npz"), chosen, Fold(), "headrank")


def test_the_ranker_names_the_document(tmp_path):
    model = models.loaded("gemma3")
    ranker = HeadRanker(model, BLIND, RankerOptions(order="first-stage"))
    with pytest.raises(HeadRankError, match=f"query q1: {NAMED}"):
        list(ranker.rerank_lists(lists()))
    with pytest.raises(HeadRankError, match=NAMED):
        ranker.work(lists()[0])
    HeadRanker(model, SEEING, RankerOptions()).work(lists()[0])
    everything = HeadRanker(model, None, RankerOptions(method="icr"))
    assert len(next(everything.rerank_lists(lists()))) == 6


def test_alignment_refuses_a_blind_head():
    model = models.loaded("gemma3")
    prompt = builder_for(model).build(lists()[0])
    assert (selected_mass(model, prompt, SEEING) > 0).all()
    with pytest.raises(HeadRankError, match=r"layer 2, head 3 .*document 1 of 6"):
        selected_mass(model, prompt, BLIND)


def test_studies_of_heads_leave_blind_ones_out(tmp_path):
    shards = saved(models.loaded("gemma3"), tmp_path / "0.npz")
    profile = profile_heads(shards, QRELS)
    selections = {"headrank": (SelectionOptions(), Fold())}
    curve = ndcg_by_heads(shards, QRELS, replace(profile, blind=None), selections, counts=(1, 64))
    assert list(curve["heads"]) == [1, 8]
    controls = head_controls({"shuffled": shards}, QRELS, SEEING, Fold())
    assert LAYER_0 in set(controls["system"])  # a control may be blind


def test_full_attention_changes_no_byte(tmp_path):
    model = models.loaded("qwen3")
    shards = saved(model, tmp_path / "0.npz")
    made = shards[0].meta["provenance"]
    assert set(made) == {"layers", "heads", "model_digest"}
    kept = {f"{name}.{n}" for name in ("query", "calibration", "spans", "contrast") for n in (0, 1)}
    assert ArrayFile(tmp_path / "0.npz", "reading", "").names == kept
    profile = profile_heads(shards, QRELS)
    assert profile.blind is None
    profile.save(tmp_path / "p.npz")
    assert ArrayFile(tmp_path / "p.npz", "profile", "").names == {
        "entropy",
        *(f"disc.{name}" for name in CRITERIA),
    }
    means = profile.discriminability["graded"].mean(axis=0)
    chosen = profile.select(SelectionOptions(heads=16))
    assert [head.score for head in chosen.heads] == sorted(means.ravel().tolist(), reverse=True)
    mask = SEEING.mask(4, 4)
    for reading in shards[0]:
        expected = reading.query[mask].astype(np.float64).sum(axis=0)
        np.testing.assert_array_equal(fold(reading, SEEING, Fold()), expected)
