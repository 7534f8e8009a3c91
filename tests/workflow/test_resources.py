"""What jobs ask a machine or a cluster for."""

import json
import re
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
    specs = {job.rule.name: job.conda_env_spec for job in jobs}
    files = {name: spec.file.get_path_or_uri(True) for name, spec in specs.items() if spec}
    print(json.dumps([[job.rule.name, dict(job.resources)] for job in jobs], default=str))
    print(json.dumps({name: Path(file).name for name, file in files.items()}))
"""


def asked(folder: Path, config: Path) -> tuple[dict[str, dict], dict[str, str]]:
    """Return the resources and the conda environment of one job of each rule that is planned."""
    folder.mkdir()
    result = subprocess.run(
        [sys.executable, "-c", PLAN, str(ROOT / "Snakefile"), str(folder), str(config)],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    *_, resources, environments = result.stdout.splitlines()
    return dict(json.loads(resources)), json.loads(environments)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_model_on_cuda_asks_for_one_gpu_and_one_on_the_cpu_for_none(tmp_path, device):
    config = tiny(
        tmp_path / "tiny.yaml",
        lambda c: c["models"]["smollm2"].update(device=device, memory_mb=24000),
    )
    jobs, environments = asked(tmp_path / "work", config)
    assert jobs.keys() >= ON_GPU, sorted(jobs)
    assert {environments[rule] for rule in ON_GPU} == {f"torch-{device}.yaml"}
    # Converting is the CPU's work, and must not start anew because the device changes.
    assert environments["model"] == "torch-cpu.yaml"
    for rule, resources in jobs.items():
        if device == "cuda" and rule in ON_GPU:
            assert (resources["gpu"], resources["gpu_manufacturer"]) == (1, "nvidia"), rule
        else:
            assert "gpu" not in resources, f"rule {rule} would wait for a GPU it cannot use"
    # By the model's memory; a training takes longer than a reading.
    assert (jobs["read"]["mem_mb"], jobs["read"]["runtime"]) == (24000, 480)
    assert (jobs["align"]["mem_mb"], jobs["align"]["runtime"]) == (48000, 1440)


def test_every_script_that_may_get_a_gpu_claims_one():
    """Two jobs of one machine would share the first device otherwise."""
    found = []
    for path in (ROOT / "rules").glob("*.smk"):
        for block in re.split(r"^(?=rule )", path.read_text(), flags=re.M):
            if "gpu_manufacturer=" in block:
                found.append(re.search(r"scripts/(\w+\.py)", block).group(1))
    assert len(found) == 8, found
    for name in found:
        text = (ROOT / "workflow/scripts" / name).read_text()
        assert re.search(r"with job_log\(.*\), one_gpu\(.*\[\"device\"\]\):", text), name
