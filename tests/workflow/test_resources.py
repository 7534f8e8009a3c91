"""What jobs ask a machine or a cluster for."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workflow.running import ROOT, environment, tiny

# Rules that load a model, and so profit from a GPU.
ON_GPU = {"read", "align", "mine_pairs", "latency"}


# Snakemake shows a job's message in place of its resources, so the plan itself is asked.
PLAN = """
import json, sys
from pathlib import Path
from snakemake.api import SnakemakeApi
from snakemake.settings.types import ConfigSettings, DAGSettings, ResourceSettings

snakefile, folder, config = map(Path, sys.argv[1:])
with SnakemakeApi() as api:
    workflow = api.workflow(
        ResourceSettings(cores=4), ConfigSettings(configfiles=[config]),
        snakefile=snakefile, workdir=folder,
    )
    workflow.dag(DAGSettings(forceall=True)).summary()
    jobs = workflow._workflow.dag.jobs
    print(json.dumps([[job.rule.name, dict(job.resources)] for job in jobs], default=str))
"""


def asked(folder: Path, config: Path) -> dict[str, dict]:
    """Return the resources of one job of each rule that is planned."""
    folder.mkdir()
    result = subprocess.run(
        [sys.executable, "-c", PLAN, str(ROOT / "Snakefile"), str(folder), str(config)],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return dict(json.loads(result.stdout.splitlines()[-1]))


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_model_on_cuda_asks_for_one_gpu_and_one_on_the_cpu_for_none(tmp_path, device):
    config = tiny(
        tmp_path / "tiny.yaml",
        lambda c: c["models"]["smollm2"].update(device=device, memory_mb=24000),
    )
    jobs = asked(tmp_path / "work", config)
    assert jobs.keys() >= ON_GPU, sorted(jobs)
    for rule, resources in jobs.items():
        if device == "cuda" and rule in ON_GPU:
            assert (resources["gpu"], resources["gpu_manufacturer"]) == (1, "nvidia"), rule
        else:
            assert "gpu" not in resources, f"rule {rule} would wait for a GPU it cannot use"
    # By the model's memory; a training takes longer than a reading.
    assert (jobs["read"]["mem_mb"], jobs["read"]["runtime"]) == (24000, 480)
    assert (jobs["align"]["mem_mb"], jobs["align"]["runtime"]) == (48000, 1440)
