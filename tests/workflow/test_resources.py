"""What jobs ask a machine or a cluster for."""

import json
import re
from pathlib import Path

import pytest

from tests.workflow import snakemake_server
from tests.workflow.running import ROOT, environment, tiny

# Rules that load a model or an encoder, and so profit from a GPU.
BY_MODEL = {"read", "align", "mine_pairs", "latency", "generate", "rank_truncated"}
BY_ENCODER = {"rank_by_encoder", "rank_by_cross_encoder"}
ON_GPU = BY_MODEL | BY_ENCODER
# Rules whose memory and time must follow the size of what they hold, and grow.
SIZED = ON_GPU | {"model", "collection", "index", "retrieve", "evaluate"}


# Snakemake shows a job's message in place of its resources, so the plan itself is asked.
PLAN = """
import json, sys
from pathlib import Path
from snakemake.api import SnakemakeApi
from snakemake.settings.types import ConfigSettings, DAGSettings, ResourceSettings

snakefile, folder, config, told = map(Path, sys.argv[1:5])
limits = sys.argv[5]
with SnakemakeApi() as api:
    workflow = api.workflow(
        ResourceSettings(**json.loads(limits)), ConfigSettings(configfiles=[config]),
        snakefile=snakefile, workdir=folder,
    )
    workflow.dag(DAGSettings(forceall=True)).summary()
    jobs = workflow._workflow.dag.jobs
    specs = {job.rule.name: job.conda_env_spec for job in jobs}
    files = {name: spec.file.get_path_or_uri(True) for name, spec in specs.items() if spec}
    first = [[job.rule.name, dict(job.resources)] for job in jobs]
    for job in jobs:
        job.attempt = 2
        job.reset_params_and_resources()
    again = [[job.rule.name, dict(job.resources)] for job in jobs]
    environments = {name: Path(file).name for name, file in files.items()}
    told.write_text(json.dumps([first, again, environments], default=str))
"""


def asked(
    folder: Path, config: Path, limits: dict | None = None, visible: str = ""
) -> tuple[dict[str, dict], dict[str, dict], dict[str, str]]:
    """Return the resources of one job of each rule, those of its second attempt, and its env.

    On a machine with the ``visible`` GPUs; ``limits`` are those of Snakemake.
    """
    folder.mkdir()
    told = folder / "told.json"
    result = snakemake_server.run(
        [*map(str, (ROOT / "Snakefile", folder, config, told)), json.dumps(limits or {"cores": 4})],
        environment() | {"CUDA_VISIBLE_DEVICES": visible},
        code=PLAN,
    )
    assert result.returncode == 0, result.stdout
    first, again, environments = json.loads(told.read_text())
    return dict(first), dict(again), environments


def every_kind(config: dict, device: str) -> None:
    """Change the tiny config to one whose methods load models and encoders in every way."""
    config["models"]["smollm2"].update(device=device, memory_mb=24000)
    config["encoders"]["minilm"].update(device=device, memory_mb=5000)
    config["collections"]["semanlink"].update(memory_mb=6000)
    added = {
        "judge": {"kind": "cross-encoder", "encoder": "minilm"},
        "listwise": {"kind": "generative", "protocol": "listwise", "batch": 5},
        "cut": {"heads": "headrank", "aggregation": "log-sum", "truncated": True},
    }
    config["methods"] |= added
    config["experiment"]["methods"] += added


CLUSTER = {"nodes": 4}


@pytest.mark.parametrize(
    ("limits", "visible", "env"),
    [(None, "", "cpu"), (None, "0", "cuda"), (CLUSTER, "", "cuda")],
    ids=["no GPU", "a GPU", "a cluster"],
)
@pytest.mark.slow
def test_a_model_of_any_device_asks_for_a_gpu_where_there_may_be_one(
    tmp_path, limits, visible, env
):
    config = tiny(tmp_path / "tiny.yaml", lambda c: every_kind(c, "auto"))
    jobs, _, environments = asked(tmp_path / "work", config, limits, visible)
    assert {environments[rule] for rule in ON_GPU} == {f"torch-{env}.yaml"}
    for rule, resources in jobs.items():
        assert resources.get("gpu") == (1 if env == "cuda" and rule in ON_GPU else None), rule


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_model_on_cuda_asks_for_one_gpu_and_one_on_the_cpu_for_none(tmp_path, device):
    config = tiny(tmp_path / "tiny.yaml", lambda c: every_kind(c, device))
    jobs, again, environments = asked(tmp_path / "work", config)
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
    # What four more lists have read is kept in this machine's memory, or in the GPU's.
    more = 24000 * 4 // 16 if device == "cpu" else 0
    assert (jobs["generate"]["mem_mb"], jobs["generate"]["runtime"]) == (24000 + more, 960)
    assert jobs["model"]["mem_mb"] in (24000, 5000), "not by the size of the model or encoder"
    for rule in BY_ENCODER:
        assert (jobs[rule]["mem_mb"], jobs[rule]["runtime"]) == (5000, 100), rule
    for rule in ("collection", "index", "retrieve"):
        assert (jobs[rule]["mem_mb"], jobs[rule]["runtime"]) == (6000, 120), rule
    # A job that was too large for what it asked for gets more when it is tried again.
    for rule in SIZED:
        for key in ("mem_mb", "runtime"):
            assert again[rule][key] == 2 * jobs[rule][key], f"{key} of rule {rule} does not grow"


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
        assert re.search(r"run_job\(main, snakemake, gpu=\"(weights|encoder)\"\)", text), name
