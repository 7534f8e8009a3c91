"""On a GPU: what is read, trained and merged there is what the CPU gives.

``pytest -m gpu`` on a machine with a card; elsewhere all are skipped. ``HEADRANK_TEST_DEVICE=cpu``
runs them on the CPU, where they compare it with itself: for whoever changes them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from headrank.data.candidates import CandidateList, Passage
from headrank.data.heads import Head, HeadSet
from headrank.errors import HeadRankError
from headrank.models.decoder import load_model
from headrank.options.fold import Fold
from headrank.options.prompt import PromptOptions
from headrank.ranker.options import METHODS
from headrank.ranker.ranker import HeadRanker
from headrank.ranker.truncated import cut_last_layer, score_prompts
from headrank.reading.prefill import read_prompt
from headrank.reading.prompt import PromptBuilder
from headrank.reading.recording import Recording
from tests.helpers import models
from tests.helpers import tiny_models as tiny

pytestmark = pytest.mark.gpu
HEADS = HeadSet((Head(2, 3), Head(1, 0), Head(2, 1)))
FOLD = Fold(aggregation="log-sum")


@pytest.fixture(scope="session")
def device() -> str:
    """Return the device under test."""
    device = os.environ.get("HEADRANK_TEST_DEVICE", "cuda")
    if device == "cuda":
        if not torch.cuda.is_available():
            pytest.skip("torch sees no GPU here")
        # Deterministic matrix products ask for it before CUDA is first used.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    return device


def on(device, architecture, dtype=torch.float32, **changes):
    """Return the tiny model of an architecture on a device."""
    model = models.loaded(architecture, **changes)
    model.decoder.to(device)
    for parameter in model.decoder.parameters():  # not the buffers: rotary angles stay float32
        parameter.data = parameter.data.to(dtype)
    return model


def close(found, expected, relative=1e-4):
    """Check that arrays agree relative to the largest value of a head."""
    scale = np.abs(expected).max(axis=-1, keepdims=True)
    assert (np.abs(found - expected) <= relative * scale).all()


@pytest.mark.parametrize("architecture", models.ARCHITECTURES)
def test_readings_are_those_of_the_cpu(device, architecture):
    prompt = models.random_prompt(3, documents=9)
    expected = read_prompt(on("cpu", architecture), prompt, Recording(keep_tokens=True))
    model = on(device, architecture)
    assert model.device.type == device
    for found, own in zip(
        read_prompt(model, prompt, Recording(keep_tokens=True)), expected, strict=True
    ):
        close(found.documents, own.documents)
        close(found.tokens, own.tokens)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("architecture", models.ARCHITECTURES)
def test_a_norm_of_one_kernel_is_that_of_transformers(device, architecture, dtype):
    torch.manual_seed(5)
    for norm in on("cpu", architecture, dtype).decoder.modules():
        if "RMSNorm" in type(norm).__name__:
            rows = 3 * torch.randn(2, 50, len(norm.weight), dtype=dtype)
            expected = norm(rows)  # on the CPU it is transformers' own
            found = norm.to(device)(rows.to(device)).cpu()
            # transformers rounds twice in bfloat16.
            close = 2 * torch.finfo(dtype).eps
            torch.testing.assert_close(found, expected, rtol=close, atol=1e-5)


@pytest.mark.parametrize("architecture", models.ARCHITECTURES)
def test_documents_read_apart_are_those_of_the_cpu_in_any_order(device, architecture):
    one = models.candidates()
    options = PromptOptions(layout="block", query_offset=100)
    masses = []
    for place, order in (("cpu", range(6)), (device, range(6)), (device, (3, 1, 5, 0, 4, 2))):
        model = on(place, architecture, sliding_window=160 if "window" in architecture else 24)
        moved = replace(
            one,
            doc_ids=tuple(one.doc_ids[i] for i in order),
            passages=tuple(one.passages[i] for i in order),
        )
        prompt = PromptBuilder(model.tokenizer, options, model.context).build(moved)
        found = read_prompt(model, prompt)
        masses.append([m.documents[..., np.argsort(list(order))] for m in found])
    for expected, found, again in zip(*masses, strict=True):
        close(found, expected)
        assert np.array_equal(found, again)


@pytest.mark.parametrize("architecture", ["llama", "qwen3"])
def test_training_under_the_block_mask_has_the_gradients_of_the_cpu(device, architecture):
    from headrank.align.forward import selected_mass

    gradients = []
    for place in ("cpu", device):
        model = models.loaded(architecture)
        wrapped = models.with_adapter(model, HEADS)
        wrapped.to(place)
        options = PromptOptions(layout="block", query_offset=100)
        one = models.candidates()
        prompt = PromptBuilder(model.tokenizer, options, model.context).build(one, (one.query,))
        selected_mass(model, prompt, HEADS).log().sum().backward()
        trained = [(n, p.grad.cpu()) for n, p in wrapped.named_parameters() if p.requires_grad]
        gradients.append(dict(trained))
    for name, expected in gradients[0].items():
        assert (gradients[1][name] - expected).abs().max() <= 1e-3 * expected.abs().max(), name


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "qwen3"])
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("layout", ["joint", "block"])
def test_scores_of_a_cut_model_and_of_batches_are_those_of_the_cpu(
    device, architecture, count, layout
):
    prompts = [models.random_prompt(seed, documents=4 + seed) for seed in range(count)]
    if layout == "block":
        builder = PromptBuilder(models.tokenizer(), PromptOptions(layout="block"))
        lists = [models.candidates(models.TEXTS[seed:]) for seed in range(count)]
        prompts = [builder.build(one) for one in lists]
    scores = []
    for place in ("cpu", device):
        model = on(place, architecture, num_hidden_layers=3)
        cut_last_layer(model)
        if place == "cpu":  # one list at a time: the batch of the card is checked too
            scores.append([score_prompts(model, [one], HEADS, FOLD)[0] for one in prompts])
        else:
            scores.append(score_prompts(model, prompts, HEADS, FOLD))
    for expected, found in zip(*scores, strict=True):
        for one, other in zip(expected, found, strict=True):
            close(other, one)


@pytest.mark.parametrize("architecture", ["llama", "mistral", "qwen2", "qwen3", "gemma3"])
def test_bfloat16_keeps_most_of_the_first_ten(device, architecture):
    shared = []
    for seed in range(5):
        prompt = models.random_prompt(seed, documents=40, suffixes=1)
        # Attention as flat as a trained model's: that of the tests is peaked, and one token moves
        # all.
        orders = []
        for place, dtype in (("cpu", torch.float32), (device, torch.bfloat16)):
            model = on(place, architecture, dtype, sliding_window=2048)
            with torch.no_grad():
                for name, parameter in model.decoder.named_parameters():
                    if "q_proj" in name or "k_proj" in name:
                        parameter.mul_(0.3)
            ((scores,),) = score_prompts(model, [prompt], HEADS, FOLD)
            orders.append(set(np.argsort(-scores)[:10].tolist()))
        shared.append(len(orders[0] & orders[1]))
    assert np.mean(shared) >= 8


@pytest.mark.parametrize("method", METHODS)
def test_a_ranker_ranks_as_on_the_cpu(device, method):
    heads = None if method == "icr" else HEADS
    rankings = []
    for place in ("cpu", device):
        ranker = HeadRanker.from_pretrained(
            tiny.folder("qwen3"), heads, method=method, device=place
        )
        one = tiny.candidates()
        rankings.append(ranker.rerank(one.query, one.passages))
    for expected, found in zip(*rankings, strict=True):
        assert (found.doc_id, found.score) == (
            expected.doc_id,
            pytest.approx(expected.score, rel=1e-3),
        )


def test_auto_takes_the_card(device):
    model = load_model(tiny.folder("llama"), device="auto")
    assert model.device.type == device
    assert (model.gpu is None) == (device == "cpu")


def test_merged_weights_rank_as_the_adapter_beside_them(device, tmp_path):
    from headrank.align import adapter

    model = load_model(tiny.folder("qwen3"), layers=3)
    wrapped = models.with_adapter(model, HEADS)
    card = {"model_digest": model.digest, "prompt": asdict(PromptOptions())}
    adapter.save_adapter(wrapped, tmp_path, HEADS, card)
    one = tiny.candidates()
    rankings = [
        HeadRanker.from_pretrained(
            tiny.folder("qwen3"), adapter=tmp_path, device=device, merge=merge
        ).rerank(one.query, one.passages)
        for merge in (True, False)
    ]
    for merged, beside in zip(*rankings, strict=True):
        assert (merged.doc_id, merged.score) == (
            beside.doc_id,
            pytest.approx(beside.score, rel=1e-3),
        )


class Killed(BaseException):
    """Ends a run in the middle."""


def test_training_that_was_killed_ends_in_the_same_adapter(device, tmp_path, monkeypatch):
    pytest.importorskip("pytrec_eval")
    from headrank.align import train
    from headrank.align.places import Folders
    from tests.helpers import alignment

    (reader, data), settings = alignment.inputs(replace(alignment.OPTIONS, epochs=2))

    def run(target, checkpoint=None):
        model = on(device, "llama", num_hidden_layers=3)
        train.align(replace(reader, model=model), data, Folders(target, checkpoint), **settings)

    def contents(folder):
        return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}

    torch.use_deterministic_algorithms(True)
    try:
        # Only this kernel's gradients are deterministic for every shape.
        with sdpa_kernel(SDPBackend.MATH):
            run(tmp_path / "unbroken")
            whole = train.Training.take_step
            with monkeypatch.context() as patch:

                def take_step(self, chosen):
                    if self.progress.total == 4:
                        raise Killed
                    whole(self, chosen)

                patch.setattr(train.Training, "take_step", take_step)
                with pytest.raises(Killed):
                    run(tmp_path / "resumed", tmp_path / "checkpoint")
            run(tmp_path / "resumed", tmp_path / "checkpoint")
    finally:
        torch.use_deterministic_algorithms(False)
    assert contents(tmp_path / "resumed") == contents(tmp_path / "unbroken")


def test_a_list_too_large_for_the_card_is_told(device, monkeypatch):
    model = on(device, "llama")
    prompt = models.random_prompt(0, documents=60)
    message = r"reading 1 lists at once, .* does not fit the GPU's memory \(.*\); read fewer lists"
    if device == "cpu":

        def full(*args, **kwargs):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

        monkeypatch.setattr(model.decoder, "forward", full)
        with pytest.raises(HeadRankError, match=message):
            read_prompt(model, prompt)
        return
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    # Exactly what is reserved by now: nothing more can be taken.
    torch.cuda.set_per_process_memory_fraction(max(1, torch.cuda.memory_reserved()) / total)
    try:
        long = replace(
            prompt,
            prefix=prompt.prefix * 200,
            suffixes=prompt.suffixes[:1],
        )
        with pytest.raises(HeadRankError, match=message):
            read_prompt(model, long)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    # The card is as before: the same list is read once there is room.
    assert np.isfinite(read_prompt(model, prompt)[0].documents).all()


HOLD = """
import sys, time
from headrank.workflow.job import one_gpu
with one_gpu(sys.argv[1], folder=sys.argv[2]):
    start = time.monotonic()
    import torch
    torch.ones(10, device=sys.argv[1]).sum().item()
    time.sleep(1)
    print(start, time.monotonic())
"""


def test_two_jobs_take_turns_on_one_card(device, tmp_path):
    if device != "cuda" or torch.cuda.device_count() != 1:
        pytest.skip("needs a machine with one GPU")
    root = Path(__file__).parents[3]
    jobs = [
        subprocess.Popen(
            [sys.executable, "-c", HOLD, device, str(tmp_path / "locks")],
            cwd=root,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    times = sorted(tuple(map(float, job.communicate(timeout=120)[0].split())) for job in jobs)
    assert times[0][1] <= times[1][0]


def test_a_long_list_keeps_its_order(device):
    """Shapes of real lists: thousands of keys, where a wrong kernel or mask shows."""
    generator = np.random.default_rng(5)
    texts = [" ".join(generator.choice(models.TEXTS[0].split(), size=30)) for _ in range(40)]
    one = CandidateList(
        "long", "a loan", tuple(f"d{i}" for i in range(40)), tuple(Passage("", t) for t in texts)
    )
    scores = []
    for place in ("cpu", device):
        model = on(place, "qwen3", num_hidden_layers=3, max_position_embeddings=8192)
        prompt = PromptBuilder(model.tokenizer, PromptOptions(), model.context).build(one)
        assert len(prompt.prefix) > 2000
        scores.append(score_prompts(model, [prompt], HEADS, METHODS["core"])[0][0])
    close(scores[1], scores[0], 1e-3)
