"""Jobs of one machine with several GPUs: Snakemake counts them, each job claims its own."""

import itertools
import json
import subprocess
import sys

import pytest

from tests.workflow.running import ROOT, environment

SNAKEFILE = """
rule all:
    input: expand("{n}.json", n=range(6))

rule job:
    output: "{n}.json"
    resources: gpu=1
    script: "job.py"
"""
SCRIPT = """
import json, os, time
from pathlib import Path
from headrank.workflow.job import one_gpu

with one_gpu("cuda"):
    began = time.monotonic()
    # The first job waits for the second, however slowly that one starts.
    Path(f"begun-{snakemake.wildcards.n}").touch()
    while len(list(Path().glob("begun-*"))) < 2 and time.monotonic() < began + 120:
        time.sleep(0.01)
    time.sleep(0.2)
    seen = os.environ["CUDA_VISIBLE_DEVICES"]
    span = [began, time.monotonic()]
with open(snakemake.output[0], "w") as file:
    json.dump({"gpu": seen, "span": span}, file)
"""


@pytest.mark.slow
def test_two_jobs_at_once_share_no_device(tmp_path):
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    (tmp_path / "job.py").write_text(SCRIPT)
    given = environment() | {"CUDA_VISIBLE_DEVICES": "0,1", "PYTHONPATH": str(ROOT)}
    given |= {"TMPDIR": str(tmp_path)}
    result = subprocess.run(
        [
            *(sys.executable, "-m", "snakemake", "--cores", "4", "--resources", "gpu=2"),
            *("--snakefile", str(tmp_path / "Snakefile"), "--directory", str(tmp_path)),
        ],
        cwd=tmp_path,
        env=given,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout
    jobs = [json.loads((tmp_path / f"{n}.json").read_text()) for n in range(6)]
    assert {job["gpu"] for job in jobs} == {"0", "1"}
    spans = {gpu: sorted(job["span"] for job in jobs if job["gpu"] == gpu) for gpu in "01"}
    for own in spans.values():
        assert all(end <= begin for (_, end), (begin, _) in itertools.pairwise(own))
    # Both devices were at work at once, or this test would show nothing.
    assert any(a[0] < b[1] and b[0] < a[1] for a in spans["0"] for b in spans["1"])
