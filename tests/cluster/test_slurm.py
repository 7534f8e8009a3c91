"""The SLURM profile: its keys, where it sends jobs, and a real cluster of one machine."""

import importlib.util
import subprocess
import sys
from types import SimpleNamespace

import pytest
import yaml

from headrank.io.files import json_sha256
from headrank.workflow.config.checks import configure
from tests.cluster import slurm
from tests.fault.experiment import without_model, write
from tests.workflow.running import ROOT, environment

PROFILE = ROOT / "profiles/slurm"
PLUGIN = importlib.util.find_spec("snakemake_executor_plugin_slurm")
needs_plugin = pytest.mark.skipif(
    PLUGIN is None, reason="no snakemake-executor-plugin-slurm: pip install it to test the profile"
)
# Each job writes where it ran; `again` is cancelled by itself when it runs first.
WORKFLOW = """
rule all:
    input:
        expand("{name}.txt", name=["gpu", "cpu", "again"]),
    localrule: True

rule gpu:
    output: "gpu.txt"
    resources: gpu=1, gpu_manufacturer="nvidia", mem_mb=200, runtime=5
    shell: "echo $SLURM_JOB_PARTITION gpus=${{CUDA_VISIBLE_DEVICES:-}} > {output}"

rule cpu:
    output: "cpu.txt"
    resources: mem_mb=200, runtime=5
    shell: "echo $SLURM_JOB_PARTITION gpus=${{CUDA_VISIBLE_DEVICES:-}} > {output}"

rule again:
    output: "again.txt"
    resources: mem_mb=lambda wildcards, attempt: 200 * attempt, runtime=5
    shell:
        "if [ -e begun ]; then"
        " scontrol show job $SLURM_JOB_ID | grep -o -m 1 'mem=[0-9]*M' > {output};"
        " else touch begun; scancel $SLURM_JOB_ID; sleep 60; fi"
"""


def snakemake(folder, *arguments) -> subprocess.CompletedProcess:
    """Run Snakemake through the profile, in a folder of its own."""
    return subprocess.run(
        [
            *(sys.executable, "-m", "snakemake", "--workflow-profile", str(PROFILE)),
            *("--slurm-partition-config", str(PROFILE / "partitions.yaml")),
            *("--directory", str(folder), *arguments),
        ],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


@needs_plugin
def test_jobs_with_a_gpu_go_to_its_partition_and_the_others_do_not():
    from snakemake_executor_plugin_slurm.partitions import read_partition_file

    partitions = read_partition_file(PROFILE / "partitions.yaml")

    def best(**resources) -> str:
        job = SimpleNamespace(resources=resources, threads=1)
        scores = {part.name: part.score_job_fit(job) for part in partitions}
        return max((score, name) for name, score in scores.items() if score is not None)[1]

    assert best(gpu=1, mem_mb=8000, runtime=160) == "gpu"
    assert best(mem_mb=8000, runtime=160) == "cpu"


@needs_plugin
def test_the_demo_is_planned_through_the_profile(tmp_path):
    result = snakemake(tmp_path, "--dry-run", "--quiet", "rules")
    assert result.returncode == 0, result.stdout
    assert "read" in result.stdout


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Run a cluster of this machine for the tests that submit jobs."""
    reason = slurm.obstacle()
    if reason:
        pytest.skip(reason)
    with slurm.running(tmp_path_factory.mktemp("slurm") / "state"):
        yield


@pytest.mark.slow
@needs_plugin
def test_gpu_jobs_land_in_their_partition_and_a_cancelled_job_runs_again(cluster, tmp_path):
    (tmp_path / "Snakefile").write_text(WORKFLOW)
    result = snakemake(
        tmp_path,
        *("--snakefile", str(tmp_path / "Snakefile"), "--latency-wait", "10"),
        *("--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "5"),
    )
    assert result.returncode == 0, result.stdout
    assert (tmp_path / "gpu.txt").read_text() == "gpu gpus=0\n"
    assert (tmp_path / "cpu.txt").read_text() == "cpu gpus=\n"
    # The second attempt had more memory.
    assert (tmp_path / "again.txt").read_text() == "mem=400M\n"


@pytest.mark.slow
@needs_plugin
def test_a_small_target_of_the_workflow_runs_on_the_cluster(cluster, tmp_path):
    """A job finds the folder that is named after all settings as the login node does."""

    def change(config: dict) -> None:
        without_model(config)
        config["pathvars"] = {"results": "results-<config>"}

    config = write(tmp_path, change)
    complete = yaml.safe_load(config.read_text())
    configure(complete)
    run = f"results-{json_sha256(complete)[:12]}/runs/exam/bm25.run"
    result = snakemake(
        tmp_path,
        *("--configfile", str(config), "--latency-wait", "10", run),
        *("--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "5"),
    )
    assert result.returncode == 0, result.stdout
    ranked = {line.split()[0] for line in (tmp_path / run).read_text().splitlines()}
    assert ranked == {f"test{number}" for number in range(4)}
