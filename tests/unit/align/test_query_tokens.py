"""Adapters of the query's tokens alone: what they change, what they leave, how they are trained."""

import json
import shutil
import threading
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from peft.tuners.lora import LoraLayer
from safetensors.torch import load, load_file

from headrank.align import documents, train
from headrank.align.adapter import check_adapter, leave_documents, load_adapter, merge_adapter
from headrank.align.forward import selected_masses
from headrank.align.loop import TrainingData
from headrank.align.losses import relevance
from headrank.align.mine import mine_with_model
from headrank.align.places import Folders
from headrank.align.validate import validation_ndcg
from headrank.data.heads import HeadSet, by_layer
from headrank.errors import HeadRankError, HostFault
from headrank.fitting import AlignRecipe, LabelledQuery, align_heads
from headrank.models.query_adapter import documents_pass
from headrank.options.pairs import PairOptions
from headrank.options.prompt import PromptOptions
from headrank.ranker.model_card import model_card
from headrank.ranker.ranker import HeadRanker
from headrank.ranker.resumed import ranking_checkpoint
from headrank.ranker.saved import read_card
from headrank.reading.document_store import DocumentStore, document_state
from headrank.reading.prefill import read_prompt
from headrank.reading.prompt import PromptBuilder
from headrank.reading.recording import Recording
from headrank.reading.traced import trace_blocks
from tests.helpers import models
from tests.helpers import tiny_models as tiny
from tests.helpers.alignment import HEADS, OPTIONS, Killed, contents, inputs, run, task

QUERY = replace(OPTIONS, tokens="query")
WEIGHTS = "adapter_model.safetensors"


def adapted(model, **options):
    """Wrap the model with an adapter of the query's tokens alone; return peft's model."""
    wrapped = models.with_adapter(model, HEADS, **options)
    leave_documents(model)
    return wrapped


def prompts(layout="block", count=3, tokens=24):
    """Return prompts of unlike documents and queries."""
    builder = PromptBuilder(
        models.tokenizer(), PromptOptions(layout=layout, document_tokens=tokens), 2048
    )
    return [
        builder.build(
            models.candidates(
                [f"policy {i}" + " pays a loan" * (i % 4) for i in range(documents)],
                query_id=f"q{documents}",
            ),
            (f"what does {documents} pay" + " and when" * documents,),
        )
        for documents in range(3, 3 + count)
    ]


def gradient(wrapped, masses):
    wrapped.zero_grad()
    sum(relevance(mass).var() for mass in masses).backward()
    return torch.cat([p.grad.flatten() for p in wrapped.parameters() if p.grad is not None])


def masked(model, prompt, monkeypatch):
    """Return the masses of one pass over everything, the adapter's part put to 0 before the query.

    An oracle by other means: no store, no pass of documents, only a product with 0 and 1.
    """
    suffix = len(prompt.suffixes[0].ids)
    with monkeypatch.context() as patch:
        for module in model.decoder.modules():
            if not isinstance(module, LoraLayer):
                continue

            def forward(hidden, layer=module):
                before = layer.get_base_layer()(hidden)
                rows = torch.arange(hidden.shape[1]) >= hidden.shape[1] - suffix
                return before + rows[:, None] * (type(layer).forward(layer, hidden) - before)

            patch.setattr(module, "forward", forward)
        chosen = {layer: sorted(heads) for layer, heads in by_layer(HEADS).items()}
        recording = Recording(heads=dict(sorted(chosen.items())))
        (recorder,) = trace_blocks(model, [prompt], recording, HEADS.deepest)
    return torch.cat([recorder.mass[layer][0] for layer in sorted(recorder.mass)])


@pytest.mark.parametrize("layout", ["block", "block-tenth"])
@pytest.mark.parametrize("architecture", models.ARCHITECTURES)
def test_masses_and_gradients_are_those_of_an_adapter_put_to_0_on_documents(
    architecture, layout, monkeypatch
):
    slides = models.ARCHITECTURES[architecture][1].get("sliding_window")
    model = models.loaded(architecture, **({"sliding_window": 400} if slides else {}))
    wrapped = adapted(model, projections="all")
    lists = prompts(layout)
    found = selected_masses(model, lists, HEADS)
    expected = [masked(model, prompt, monkeypatch) for prompt in lists]
    with wrapped.disable_adapter():
        plain = selected_masses(model, lists, HEADS)
    for one, other, before in zip(found, expected, plain, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-7)
        assert (one - before).abs().max() > 1e-3 * before.abs().max()
    wanted = gradient(wrapped, expected)
    largest = wanted.abs().max().item()
    assert 1e-4 < largest < np.inf
    torch.testing.assert_close(gradient(wrapped, found), wanted, rtol=0, atol=1e-4 * largest)


def test_a_reading_is_that_of_training_and_finds_documents_of_the_unaligned_model():
    (prompt,) = prompts(count=1)
    model = models.loaded("llama")
    shelf = documents.Shelf(DocumentStore(), document_state(model, None))
    read_prompt(model, prompt, shelf=shelf)
    assert (shelf.store.hits, shelf.store.misses) == (0, 3)
    state = document_state(model, None)
    adapted(model, projections="all")
    assert document_state(model, None) == state
    (mass,) = selected_masses(model, [prompt], HEADS)
    stored = read_prompt(model, prompt, shelf=shelf)[0].documents
    assert (shelf.store.hits, shelf.store.misses) == (3, 3)
    alone = read_prompt(model, prompt)[0].documents
    np.testing.assert_allclose(stored, alone, rtol=1e-5, atol=1e-8)
    for number, (layer, head) in enumerate(sorted(HEADS.pairs)):
        np.testing.assert_allclose(alone[layer, head], mass[number].detach(), rtol=1e-4)


def test_a_pass_of_documents_is_one_of_its_own_thread():
    model = models.loaded("llama")
    wrapped = adapted(model)
    layer = next(module for module in model.decoder.modules() if isinstance(module, LoraLayer))
    hidden = torch.randn(1, 4, layer.get_base_layer().in_features)
    changed, plain = layer(hidden), layer.get_base_layer()(hidden)
    assert not torch.equal(changed, plain)
    seen = []
    with documents_pass():
        thread = threading.Thread(target=lambda: seen.append(layer(hidden)))
        thread.start()
        thread.join()
        assert torch.equal(layer(hidden), plain)
        with documents_pass():
            pass
        assert torch.equal(layer(hidden), plain)
    assert torch.equal(seen[0], changed) and torch.equal(layer(hidden), changed)
    with wrapped.disable_adapter():
        assert torch.equal(layer(hidden), plain)


def test_a_training_writes_an_adapter_that_reads_as_it_was_trained(tmp_path):
    table = run(tmp_path / "a", replace(QUERY, dropout=0.0), layout="block")
    assert table["ndcg@10"].max() > table["ndcg@10"].iloc[0]
    card = json.loads((tmp_path / "a" / "headrank.json").read_text())
    assert card["options"]["tokens"] == "query"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]  # no documents are left
    (reader, data), settings = inputs(QUERY, layout="block")
    load_adapter(reader.model, tmp_path / "a")
    assert reader.model.query_adapter
    found = validation_ndcg(reader, data.validation, settings["seed"])
    assert found == pytest.approx(table["ndcg@10"].max())
    # The same weights on all tokens read otherwise: the card decides.
    card["options"].pop("tokens")
    everywhere = shutil.copytree(tmp_path / "a", tmp_path / "b")
    (everywhere / "headrank.json").write_text(json.dumps(card))
    (other, _), _ = inputs(layout="block")
    load_adapter(other.model, everywhere)
    assert not other.model.query_adapter
    one = data.validation.lists[0]
    assert not torch.allclose(reader.read([one])[0], other.read([one])[0], rtol=1e-3)


def test_lists_of_a_step_side_by_side_train_as_single_ones(tmp_path):
    for name, asked in (("one", 1), ("two", 2), ("auto", "auto")):
        options = replace(QUERY, dropout=0.0, micro_batch=asked)
        run(tmp_path / name, options, layout="block")
    one, two, auto = (load_file(tmp_path / name / WEIGHTS) for name in ("one", "two", "auto"))
    for name, values in one.items():
        np.testing.assert_allclose(two[name], values, atol=2e-3)
        # They are few rows: all of a step share a pass, on a CPU too.
        assert torch.equal(two[name], auto[name])
    assert not all(torch.equal(one[name], two[name]) for name in one)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken") / "adapter"
    run(folder, QUERY, layout="block")
    return contents(folder)


def counted(monkeypatch):
    """Return a list that takes the number of documents of each pass that encodes some."""
    seen, whole = [], documents.encode_documents

    def noted(model, prompt, *args, **kwargs):
        seen.append(len(prompt.spans))
        whole(model, prompt, *args, **kwargs)

    monkeypatch.setattr(documents, "encode_documents", noted)
    return seen


def test_documents_are_encoded_once_whatever_the_epochs(tmp_path, monkeypatch, unbroken):
    monkeypatch.setattr(documents, "PASS_TOKENS", 64)
    seen = counted(monkeypatch)
    run(tmp_path / "a", QUERY, layout="block")
    # Five lists and two for validation, of six documents each.
    assert sum(seen) == 42 and len(seen) > 5
    found, expected = load_file(tmp_path / "a" / WEIGHTS), load(unbroken[WEIGHTS])
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, atol=2e-3)


@pytest.mark.parametrize("killed", ["encoding 1", "encoding 2", "step 1", "step 5", "removal"])
def test_a_killed_run_goes_on_to_the_same_bytes(unbroken, tmp_path, monkeypatch, killed):
    what, _, number = killed.partition(" ")
    calls = []
    with monkeypatch.context() as patch:
        owner, name = {
            "encoding": (documents, "encode_documents"),
            "step": (train.Training, "take_step"),
            "removal": (shutil, "rmtree"),
        }[what]
        whole = getattr(owner, name)

        def once_too_often(*args, **kwargs):
            calls.append(1)
            if what == "removal" and documents.DOCUMENTS not in str(args[0]):
                return whole(*args, **kwargs)
            if what == "removal" or len(calls) > int(number):
                raise Killed
            return whole(*args, **kwargs)

        patch.setattr(owner, name, once_too_often)
        patch.setattr(documents, "_TOKENIZED", 16)
        with pytest.raises(Killed):
            run(tmp_path / "a", QUERY, tmp_path / "c", layout="block")
    assert (tmp_path / "c" / documents.DOCUMENTS).is_dir()
    shutil.rmtree(tmp_path / "a", ignore_errors=True)
    monkeypatch.setattr(documents, "_TOKENIZED", 16)
    passes = counted(monkeypatch)
    run(tmp_path / "a", QUERY, tmp_path / "c", layout="block")
    # 42 documents in chunks of 16 are three passes.
    assert len(passes) == {"encoding 1": 2, "encoding 2": 1}.get(killed, 0)
    assert not (tmp_path / "c").exists()
    again = tmp_path / "again"
    run(again, QUERY, layout="block")
    assert contents(tmp_path / "a") == contents(again)


@pytest.mark.parametrize("memory", [documents.OF_A_JOB, 1])
def test_a_disk_without_room_is_told_after_the_first_pass(tmp_path, monkeypatch, memory):
    monkeypatch.setattr(documents, "_TOKENIZED", 16)
    monkeypatch.setattr(documents, "OF_A_JOB", memory)  # what is in memory is no measure
    monkeypatch.setattr(documents.shutil, "disk_usage", lambda _: SimpleNamespace(free=100_000))
    with pytest.raises(HostFault, match=r"26 documents to encode take .* GB more, and 0.0 GB"):
        run(tmp_path / "a", QUERY, tmp_path / "c", layout="block")


def test_documents_of_other_settings_are_no_obstacle_and_make_room(tmp_path, monkeypatch):
    monkeypatch.setattr(documents, "_TOKENIZED", 16)

    def killed(self, chosen):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(train.Training, "take_step", killed)
        for scale in ("log", "max-logit"):
            with pytest.raises(Killed):
                run(tmp_path / "a", replace(QUERY, scale=scale), tmp_path / "c", layout="block")
        (store,) = (tmp_path / "c" / documents.DOCUMENTS).iterdir()
        with pytest.raises(Killed):
            run(tmp_path / "a", QUERY, tmp_path / "c", layout="block-tenth")
    (other,) = (tmp_path / "c" / documents.DOCUMENTS).iterdir()
    assert other != store
    run(tmp_path / "a", QUERY, tmp_path / "c", layout="block")
    assert not (tmp_path / "c").exists()


def test_the_size_of_a_token_is_that_of_the_pass(tmp_path, monkeypatch):
    """Whatever a run of other lists left in the same folder."""
    sizes, whole = [], documents._check_disk
    monkeypatch.setattr(documents, "_TOKENIZED", 16)

    def noted(folder, one, rest):
        sizes.append(one)
        whole(folder, one, rest)

    def killed(self, chosen):
        raise Killed

    monkeypatch.setattr(documents, "_check_disk", noted)
    with monkeypatch.context() as patch:
        patch.setattr(train.Training, "take_step", killed)
        with pytest.raises(Killed):
            run(tmp_path / "a", QUERY, tmp_path / "c", layout="block")
    (reader, data), settings = inputs(QUERY, layout="block")
    # The same model elsewhere.
    reader = replace(reader, model=replace(reader.model, name="/elsewhere/model"))
    training = task(5, first=20)
    pairs = mine_with_model(reader, training, PairOptions(), 0, progress=False)
    other = TrainingData(training, pairs, data.validation)
    (folder,) = (tmp_path / "c" / documents.DOCUMENTS).iterdir()
    before = {path.name for path in folder.rglob("*.safetensors")}
    seen = []
    remove = shutil.rmtree

    def looked_at(path, *args, **kwargs):
        if path == tmp_path / "c" / documents.DOCUMENTS:
            seen.extend(path.name for path in folder.rglob("*.safetensors"))
        remove(path, *args, **kwargs)

    monkeypatch.setattr(shutil, "rmtree", looked_at)
    train.align(reader, other, Folders(tmp_path / "a", tmp_path / "c"), **settings)
    assert before < set(seen)
    assert sizes[1] == pytest.approx(sizes[0], rel=0.1)


@pytest.mark.parametrize(
    ("layout", "changes", "told"),
    [
        ("joint", {}, "layout joint is to be trained"),
        ("block+query", {}, r"layout block\+query is to be trained"),
        ("block", {"both_layouts": True}, "both layouts are to be trained"),
    ],
)
def test_layouts_in_which_documents_see_other_text_are_refused(tmp_path, layout, changes, told):
    with pytest.raises(HeadRankError, match=f"tokens is query, but {told}.*block or block-tenth"):
        run(tmp_path / "a", replace(QUERY, **changes), tmp_path / "c", layout=layout)
    assert not list(tmp_path.iterdir())


def test_it_is_not_merged(tmp_path):
    run(tmp_path / "a", replace(QUERY, epochs=1), layout="block")
    (reader, _), _ = inputs(layout="block")
    load_adapter(reader.model, tmp_path / "a")
    with pytest.raises(HeadRankError, match=r"tokens: query, .* cannot be merged"):
        merge_adapter(reader.model)
    check_adapter(tmp_path / "a", "block")
    with pytest.raises(HeadRankError, match="leave merge"):
        check_adapter(tmp_path / "a", "block", merge=True)


def test_one_store_serves_the_unaligned_ranker_and_an_aligned_one(tmp_path):
    base, query = tiny.folder("qwen3"), "what pays"
    heads = HeadSet(HEADS.heads, {"prompt": {"layout": "block"}})
    store = DocumentStore.open(tmp_path / "store")
    before = HeadRanker.from_pretrained(base, heads, store=store).rerank(query, tiny.TEXTS)
    assert (store.hits, store.misses) == (0, len(tiny.TEXTS))
    # What comes last is to be first, so that training has something to change.
    grades = [int(str(place) == before[-1].doc_id) for place in range(len(tiny.TEXTS))]
    examples = [LabelledQuery(query, tiny.TEXTS, grades, query_id=str(i)) for i in range(2)]
    examples.append(LabelledQuery(f"{query} now", tiny.TEXTS, grades))
    recipe = AlignRecipe(options=replace(QUERY, epochs=12, patience=12), documents=6)
    held = {"validation": examples[2:], "recipe": recipe, "progress": False}
    align_heads(base, heads, examples[:2], tmp_path / "a", **held)
    aligned = HeadRanker.from_pretrained(base, adapter=tmp_path / "a", store=tmp_path / "store")
    after = aligned.rerank(query, tiny.TEXTS)
    assert (aligned.store.hits, aligned.store.misses) == (len(tiny.TEXTS), 0)
    assert [one.score for one in before] != [one.score for one in after]
    apart = HeadRanker.from_pretrained(base, adapter=tmp_path / "a")
    # What is ranked depends on the adapter, though no document does.
    names = {
        ranking_checkpoint(one, [tiny.candidates()], "begun", "1").path.name
        for one in (apart, HeadRanker.from_pretrained(base, heads))
    }
    assert len(names) == 2
    fresh = apart.rerank(query, tiny.TEXTS)
    np.testing.assert_allclose(
        [one.score for one in after], [one.score for one in fresh], rtol=1e-4
    )
    aligned.save_pretrained(tmp_path / "saved")
    card = model_card(tmp_path / "saved", read_card(tmp_path / "saved"), "me/aligned")
    assert "| tokens that it changes | query |" in card
    saved = HeadRanker.from_pretrained(tmp_path / "saved")
    assert saved.model.query_adapter
    assert saved.rerank(query, tiny.TEXTS) == fresh
    with pytest.raises(HeadRankError, match="leave merge"):
        HeadRanker.from_pretrained(base, adapter=tmp_path / "a", merge=True)
