"""One process a GPU, on pretended devices: the locks are real, CUDA is never asked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile

import pytest
import torch

from headrank.errors import HeadRankError
from headrank.models.devices import VISIBLE, choose_device, fits, gpus, on_device, visible_devices
from headrank.workflow.job import SECONDS, one_gpu
from headrank.workflow.provenance.process import machine

# Claims a GPU, says which, and keeps it until its standard input ends.
HOLD = """
import os, sys
from headrank.workflow.job import one_gpu
with one_gpu("cuda", folder=sys.argv[1]) as taken:
    print(taken, os.environ["CUDA_VISIBLE_DEVICES"], flush=True)
    sys.stdin.read()
"""
SMI = """#!/bin/sh
echo "GPU-aaaa-1, NVIDIA Pretended 80GB, 580.65.06"
echo "GPU-bbbb-2, NVIDIA Pretended 80GB, 580.65.06"
"""


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """Let no GPU or job of the machine that runs the tests be seen."""
    monkeypatch.delenv(VISIBLE, raising=False)
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)


@pytest.fixture
def smi(tmp_path, monkeypatch):
    """Put an nvidia-smi that lists two devices on the path."""
    program = tmp_path / "bin/nvidia-smi"
    program.parent.mkdir()
    program.write_text(SMI)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")


def hold(folder, visible: str) -> tuple[subprocess.Popen, str]:
    """Start a process that holds a GPU; return it and the device it says."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)],
        env=os.environ | {VISIBLE: visible},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    taken, seen = process.stdout.readline().split()
    assert seen == taken
    return process, taken


def test_two_processes_never_get_one_device_and_a_third_waits(tmp_path, monkeypatch):
    monkeypatch.setenv(VISIBLE, "3,5")
    processes = [hold(tmp_path, "3,5") for _ in range(2)]
    assert sorted(device for _, device in processes) == ["3", "5"]
    waited = []

    def release_after_two(seconds):
        waited.append(seconds)
        if len(waited) == 2:
            # Killed, not ended: the kernel lifts the lock of a dead process.
            process, _ = processes[1]
            process.send_signal(signal.SIGKILL)
            process.wait()

    with one_gpu("cuda", folder=tmp_path, wait=release_after_two) as taken:
        assert taken == processes[1][1]
        assert os.environ[VISIBLE] == taken
    assert waited == [SECONDS] * 2
    assert os.environ[VISIBLE] == "3,5"
    processes[0][0].communicate()


def test_a_device_is_free_again_after_the_block_even_if_it_raises(tmp_path, monkeypatch):
    monkeypatch.setenv(VISIBLE, "0")
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), one_gpu("cuda", folder=tmp_path, wait=pytest.fail):
            raise ZeroDivisionError


def test_the_cpu_claims_nothing(tmp_path):
    with one_gpu("cpu", folder=tmp_path / "locks") as taken:
        assert taken is None
        assert VISIBLE not in os.environ
    assert not (tmp_path / "locks").exists()


def test_without_the_variable_nvidia_smi_lists_the_devices(smi, tmp_path, monkeypatch):
    with one_gpu("cuda", folder=tmp_path, wait=pytest.fail) as first:
        assert first == os.environ[VISIBLE] == "GPU-aaaa-1"
        monkeypatch.delenv(VISIBLE)
        with one_gpu("cuda", folder=tmp_path, wait=pytest.fail) as second:
            assert second == "GPU-bbbb-2"
        monkeypatch.setenv(VISIBLE, first)
    assert VISIBLE not in os.environ
    assert gpus()[0] == {
        "uuid": "GPU-aaaa-1",
        "name": "NVIDIA Pretended 80GB",
        "driver": "580.65.06",
    }


@pytest.mark.parametrize(
    "given, seen",
    [("0", ["0"]), ("1, 0", ["1", "0"]), ("GPU-a,MIG-b", ["GPU-a", "MIG-b"]), ("2,-1,3", ["2"])],
)
def test_the_variable_is_read_as_cuda_reads_it(smi, monkeypatch, given, seen):
    monkeypatch.setenv(VISIBLE, given)
    assert visible_devices() == seen


@pytest.mark.parametrize("given", ["", "-1", None])
def test_no_device_is_told_with_the_remedy(monkeypatch, tmp_path, given):
    monkeypatch.setenv("PATH", str(tmp_path))
    if given is not None:
        monkeypatch.setenv(VISIBLE, given)
    with pytest.raises(HeadRankError, match=r"no GPU is visible .* set the model's device to cpu"):
        visible_devices()


def test_two_jobs_of_slurm_may_both_call_their_gpu_0(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setenv(VISIBLE, "0")
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    with one_gpu("cuda", wait=pytest.fail):
        monkeypatch.setenv("SLURM_JOB_ID", "18")
        monkeypatch.setenv(VISIBLE, "0")
        with one_gpu("cuda", wait=pytest.fail) as taken:
            assert taken == "0"
    assert len(list(tmp_path.iterdir())) == 2


def test_a_folder_that_is_a_link_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv(VISIBLE, "0")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "locks").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(HeadRankError, match="belongs to another user"):
        one_gpu("cuda", folder=tmp_path / "locks").__enter__()


def test_a_claim_after_cuda_was_used_is_refused(tmp_path, monkeypatch):
    import torch

    monkeypatch.setenv(VISIBLE, "0")
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    with pytest.raises(HeadRankError, match="CUDA was used before"):
        one_gpu("cuda", folder=tmp_path).__enter__()


def test_the_machine_part_names_gpu_and_driver_and_no_serial_number(smi):
    assert machine()["gpus"] == [{"name": "NVIDIA Pretended 80GB", "driver": "580.65.06"}] * 2
    assert "GPU-" not in str(machine())


def test_a_machine_without_a_gpu_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine()["gpus"] == []


def test_auto_is_the_cpu_without_a_gpu_and_says_so(monkeypatch, caplog, tmp_path):
    monkeypatch.setenv(VISIBLE, "")
    with caplog.at_level("INFO"), one_gpu("auto", folder=tmp_path / "locks") as taken:
        weights = on_device({"dtype": "float32", "device": "auto"})
    assert taken is None and not (tmp_path / "locks").exists()
    assert weights == {"dtype": "float32", "device": "cpu"}
    assert "device auto: no GPU is visible, the CPU" in caplog.text


def test_auto_claims_a_gpu_that_torch_can_use(monkeypatch, tmp_path):
    monkeypatch.setenv(VISIBLE, "0,1")
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: os.environ[VISIBLE] == "0")
    with one_gpu("auto", folder=tmp_path) as taken:
        assert (taken, choose_device("auto")) == ("0", "cuda")
    # A build without CUDA has no use for it: another job may take it.
    monkeypatch.setattr(torch.version, "cuda", None)
    with one_gpu("auto", folder=tmp_path) as taken:
        assert taken is None


@pytest.mark.parametrize("device", ["cpu", "cuda", "cuda:1"])
def test_a_device_that_is_named_is_never_another(device):
    assert choose_device(device) == device


def test_a_lack_of_memory_names_what_does_not_fit_and_the_remedy():
    told = (
        "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.11 GiB "
        "of which 1.06 GiB is free. Including non-PyTorch memory, this process has 78 GiB in use."
    )
    expected = (
        r"^a list does not fit the GPU's memory \(CUDA out of memory\. Tried .* 1\.06 GiB is free"
        r"\); read less$"
    )
    with pytest.raises(HeadRankError, match=expected), fits("a list", "read less"):
        raise torch.OutOfMemoryError(told)
    with pytest.raises(HeadRankError, match=r"\(out\); read less"), fits("a list", "read less"):
        raise torch.OutOfMemoryError("out\nand a long report")
