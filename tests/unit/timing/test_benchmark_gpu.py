"""The GPU benchmark on the CPU: its formula, its table, and that it goes on where it stopped."""

from __future__ import annotations

import subprocess
import sys

import pandas as pd
import pytest
import torch

from benchmarks import gpu, gpu_tasks
from benchmarks.flops import PEAKS, Load, Shape, flops, peak_of
from benchmarks.made import Lengths, config_of, document_lengths, prompt
from benchmarks.material import some_heads
from headrank.errors import HeadRankError
from headrank.reading import prefill


def tflop(model, documents, kind):
    """Return TFLOP of a list of documents of 130 tokens behind 16, and a suffix of 60."""
    config = config_of(model)
    shape = Shape.of(config)
    layers = some_heads(config.num_hidden_layers, config.num_attention_heads).deepest + 1
    parts = (16, [130] * documents, 60)
    if kind == "full":
        return flops(shape, Load.joint(*parts), shape.layers, cut=False) / 1e12
    load = {
        "cut": Load.joint(*parts),
        "block": Load.block(*parts),
        "stored": Load.block(*parts, stored=True),
    }[kind]
    return flops(shape, load, layers, cut=True) / 1e12


# Worked out apart from this code, to three figures.
@pytest.mark.parametrize(
    ("model", "documents", "full", "cut", "block", "stored"),
    [
        ("qwen3-0.6b", 40, 7.84, 4.49, 2.77, 0.07),
        ("qwen3-0.6b", 100, 31.1, 17.8, 6.85, 0.14),
        ("qwen3-1.7b", 40, 18.1, 10.3, 8.62, 0.14),
        ("qwen3-1.7b", 100, 56.5, 32.3, 21.4, 0.20),
        ("qwen3-4b", 40, 46.5, 27.2, 22.6, 0.37),
        ("qwen3-4b", 100, 145, 84.9, 56.1, 0.53),
    ],
)
def test_the_formula_gives_the_known_table(model, documents, full, cut, block, stored):
    for kind, value in (("full", full), ("cut", cut), ("block", block)):
        assert tflop(model, documents, kind) == pytest.approx(value, rel=0.008)
    assert tflop(model, documents, "stored") == pytest.approx(stored, abs=0.012)


def test_the_formula_equals_a_count_of_every_product():
    # Two layers of width 3, 2 query heads and 1 key head of 5, feed-forward width 7.
    shape = Shape(layers=2, query=30, key=15, rest=15 + 30 + 63, pair=10)
    sees = torch.ones(6, 6).tril().sum().item() - 6 / 2  # the diagonal counts half
    expected = 2 * (2 * 6 * (30 + 15 + 108) + 2 * 2 * 10 * sees)
    load = Load.joint(1, [2, 1], 2)
    assert flops(shape, load, 2, cut=False) == expected
    linear, pairs = 2 * 2 * 6 * 153, 2 * 2 * 2 * 10 * sees
    assert flops(shape, load, 2, cut=False, training=True) == 2 * linear + 3 * pairs


def test_an_unknown_card_is_asked_for_and_never_guessed():
    assert peak_of("NVIDIA H200", None) == PEAKS["NVIDIA H200"]
    assert peak_of("NVIDIA H100 80GB HBM3 MIG 1g.10gb", 141.0) == 141.0
    for name in ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", "NVIDIA Pretended"):
        with pytest.raises(HeadRankError, match=r"the peak of 'NVIDIA .*' is not known; .* --peak"):
            peak_of(name, None)
    with pytest.raises(HeadRankError, match="peak is -1"):
        peak_of("NVIDIA H200", -1)


def test_prompts_have_the_lengths_asked_for():
    lengths = Lengths()
    one = prompt(7, 500, lengths)
    assert document_lengths(one, lengths) == [130] * 7
    assert len(one.prefix) == 16 + 7 * 130
    assert one.spans[0] == (20, 144) and one.spans[1][0] - one.spans[0][1] == 6
    unlike = prompt(7, 500, lengths, spread=0.5)
    assert len(set(document_lengths(unlike, lengths))) > 3
    assert len(unlike.prefix) == 16 + sum(document_lengths(unlike, lengths))


def command(output, *more):
    gpu.main(["--device", "cpu", "--tiny", "--output", str(output), *more])


@pytest.mark.slow
def test_a_stopped_run_goes_on_and_keeps_its_rows(tmp_path, monkeypatch):
    output = tmp_path / "gpu.csv"
    command(output, "--limit", "0")
    first = pd.read_csv(output)
    assert first["documents"].unique().tolist() == [4] and set(first["batch"]) == {1}
    command(output, "--peak", "2", "--figure", str(tmp_path / "figure"))
    table = pd.read_csv(output)
    pd.testing.assert_frame_equal(table.iloc[: len(first)][first.columns], first)
    assert not table.duplicated(gpu.KEY).any()
    assert sum("block" in case for case in set(table["case"])) == 6
    new = table[table["case"].str.endswith(gpu_tasks.NEW)]
    # Of lists of random lengths the mean is not that of the others.
    assert len(new) == 4 and not new["tokens"].isin(table["tokens"].drop(new.index)).any()
    assert set(table["kernels"]) == {"all"}
    steps = table[table["case"].str.startswith("training")]
    assert sorted(steps["batch"]) == [1, 1, gpu_tasks.SIDE_BY_SIDE, gpu_tasks.SIDE_BY_SIDE]
    # A step of several lists does the work of so many; rows tell that of one.
    layouts = steps["case"].str.contains("block")
    assert steps.groupby(layouts)["tflop"].nunique().eq(1).all()
    assert (table["ms"] > 0).all() and (table["ms_low"] <= table["ms_high"]).all()
    assert set(table["case"]) >= {
        gpu_tasks.FULL,
        gpu_tasks.DEEP,
        "training step, 60 % of the layers",
    }
    later = table.iloc[len(first) :]
    assert later["percent_of_peak"].notna().all()
    expected = later["tflop"] / (later["ms"] / 1e3) / 2 * 100
    assert later["percent_of_peak"].tolist() == pytest.approx(expected.tolist())
    assert {path.suffix for path in tmp_path.glob("figure.*")} == {".pdf", ".png"}
    before = output.read_bytes()
    monkeypatch.setattr(gpu, "Bench", None)  # nothing is left to measure: no model is made
    command(output)
    assert output.read_bytes() == before


def test_what_does_not_fit_says_so_and_the_rest_is_measured(tmp_path, monkeypatch):
    forward = prefill._forward

    def full(*given):
        recorder = given[-1]
        if recorder.targets and recorder.heads is None:  # all heads are read
            raise torch.OutOfMemoryError("CUDA out of memory")
        forward(*given)

    monkeypatch.setattr(prefill, "_forward", full)
    command(tmp_path / "gpu.csv", "--profile", str(tmp_path / "profiles"))
    table = pd.read_csv(tmp_path / "gpu.csv").set_index("case")
    lost = table.loc["all heads, full depth"]
    assert (lost["note"] == "out of memory").all() and lost["ms"].isna().all()
    assert table.loc["8 heads, 60 % of the layers", "ms"].notna().all()
    profiled = [path.read_text().splitlines()[0] for path in (tmp_path / "profiles").iterdir()]
    assert any("8 heads, 60 % of the layers" in one for one in profiled)
    assert not any("all heads" in one for one in profiled)


def test_kernels_that_were_kept_out_are_told(tmp_path):
    before = torch.backends.cuda.cudnn_sdp_enabled()
    try:
        command(tmp_path / "gpu.csv", "--no-cudnn", "--limit", "0")
    finally:
        torch.backends.cuda.enable_cudnn_sdp(before)
    table = pd.read_csv(tmp_path / "gpu.csv")
    assert set(table["kernels"]) == {"no cuDNN"}
    # Another choice is another measurement.
    command(tmp_path / "gpu.csv", "--limit", "0")
    assert pd.read_csv(tmp_path / "gpu.csv")["kernels"].value_counts().to_dict() == {
        "no cuDNN": len(table),
        "all": len(table),
    }


@pytest.mark.slow
def test_it_needs_few_packages(root, tmp_path):
    """A GPU may stand where nothing can be installed."""
    script = (
        "import sys\n"
        "for name in ('matplotlib', 'scipy', 'pytrec_eval', 'bm25s', 'nltk', 'pyarrow', 'gguf',\n"
        "             'snakemake', 'ir_datasets'):\n"
        "    sys.modules[name] = None\n"
        "from benchmarks import gpu\n"
        "gpu.main(['--device', 'cpu', '--tiny', '--output', sys.argv[1]])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "gpu.csv")],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "training step" in (tmp_path / "gpu.csv").read_text()


def test_a_gpu_that_is_not_there_is_told(tmp_path, capsys):
    if torch.cuda.is_available():
        pytest.skip("a GPU is here")
    with pytest.raises(SystemExit, match="torch sees no GPU; use --device cpu --tiny"):
        gpu.main(["--output", str(tmp_path / "gpu.csv")])
