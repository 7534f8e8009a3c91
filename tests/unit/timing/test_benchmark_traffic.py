"""What a pass asks of a GPU, counted without one."""

import pandas as pd
import pytest
import torch

from benchmarks import traffic
from benchmarks.gpu import TINY
from benchmarks.gpu_tasks import DEEP, FULL, Bench, Settings
from benchmarks.traffic import BANDWIDTH, Traffic, count, read


def test_kernels_and_bytes_are_those_worked_out_by_hand():
    one = torch.empty(10, 6, device="meta")
    host = torch.empty(10, 6)
    with torch.inference_mode(), Traffic() as seen:
        one.t()[2:].unsqueeze(0)  # views: nothing is moved
        host * host  # not on the device
        torch.empty(10**6, device="meta")
        one + one  # 60 floats read once, 60 written
        one @ torch.empty(6, 4, device="meta")
        one[torch.empty(3, dtype=torch.long, device="meta")]  # 3 of 10 rows
    assert seen.kernels == {"add": 1, "matmul": 1, "index": 1}
    assert seen.bytes == {"add": 480, "matmul": 4 * (60 + 24 + 40), "index": 3 * (8 + 24 + 24)}
    assert seen.flops == 2 * 10 * 6 * 4
    assert seen.seconds["add"] == pytest.approx(480 / BANDWIDTH)


def test_arithmetic_is_what_the_formula_of_the_gpu_benchmark_says():
    settings = Settings("meta", "bfloat16", TINY, (2,), (), 1)
    tasks = Bench("tiny", settings, score=read).tasks(6, 2)
    for name in (FULL, DEEP):
        with Traffic() as seen:
            tasks[name].run()
        assert seen.flops == pytest.approx(tasks[name].flops, rel=1e-9), name


def test_a_reading_moves_less_than_the_bare_prefill_whose_norms_are_many_kernels():
    table = count("qwen3-0.6b", 10, 1).set_index("case")
    assert table.loc["8 heads, 60 % of the layers", "gb"] < 0.75 * table.loc[DEEP, "gb"]
    assert table.loc["all heads, full depth", "gb"] < 0.8 * table.loc[FULL, "gb"]


def test_queries_behind_stored_documents_share_their_kernels():
    name = "block, 8 heads, 60 %, documents stored"
    alone, together = (
        count("tiny", 6, batch, TINY).set_index("case").loc[name, "kernels"] for batch in (1, 4)
    )
    assert together < 0.7 * alone


def test_the_command_writes_a_table(tmp_path, capsys):
    out = tmp_path / "traffic.csv"
    traffic.main(["--models", "tiny", "--documents", "3", "--batches", "1", "--output", str(out)])
    table = pd.read_csv(out)
    assert list(table["documents"].unique()) == [3] and (table["kernels"] > 0).all()
    assert (table["ms_at_least"] > 0).all() and capsys.readouterr().out == ""
