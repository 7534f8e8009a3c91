"""Kubernetes without a cluster: what would be submitted, with pods that are processes here."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import headrank
from tests.cluster import storage
from tests.fault.experiment import write
from tests.workflow.running import ROOT, environment, snakemake

PROFILE = ROOT / "profiles/kubernetes"
PLUGIN = importlib.util.find_spec("snakemake_executor_plugin_kubernetes")
needs_plugin = pytest.mark.skipif(
    PLUGIN is None or storage.obstacle() is not None,
    reason="no Kubernetes plugin or no store: `make test-cluster` brings them",
)
# Each job writes what it was granted; `again` ends by itself when it runs first.
WORKFLOW = """
rule all:
    input:
        expand("{name}.txt", name=["gpu", "again"]),
    localrule: True

rule gpu:
    output: "gpu.txt"
    resources: gpu=1, gpu_manufacturer="nvidia"
    shell: "echo gpu > {output}"

rule again:
    output: "again.txt"
    resources: mem_mb=lambda wildcards, attempt: 200 * attempt
    shell: "test {resources.mem_mb} -gt 200 && echo {resources.mem_mb} > {output}"
"""
MANIFEST = ROOT / "profiles/kubernetes/job.yaml"
IMAGE = ROOT / "Dockerfile"


def parts() -> tuple[dict, dict]:
    """Return the claim and the pod's own description."""
    claim, job = yaml.safe_load_all(MANIFEST.read_text())
    assert (claim["kind"], claim["apiVersion"]) == ("PersistentVolumeClaim", "v1")
    assert (job["kind"], job["apiVersion"]) == ("Job", "batch/v1")
    return claim, job["spec"]["template"]["spec"]


def test_the_pod_works_on_the_claimed_volume():
    claim, pod = parts()
    (volume,) = pod["volumes"]
    (container,) = pod["containers"]
    assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    (mount,) = container["volumeMounts"]
    assert mount["name"] == volume["name"]
    assert f"WORKDIR {mount['mountPath']}\n" in IMAGE.read_text()


def test_without_a_lock_the_volume_is_one_pod_s():
    """A Job may run two pods for a moment; ReadWriteOnce lets two of one node write."""
    claim, pod = parts()
    (container,) = pod["containers"]
    assert "--nolock" in container["command"]
    assert claim["spec"]["accessModes"] == ["ReadWriteOncePod"]


def test_as_many_gpu_jobs_run_as_the_pod_has_gpus():
    _, pod = parts()
    (container,) = pod["containers"]
    gpus = container["resources"]["limits"]["nvidia.com/gpu"]
    assert f"--resources=gpu={gpus}" in container["command"]
    assert f"--cores={container['resources']['requests']['cpu']}" in container["command"]
    assert pod["restartPolicy"] == "OnFailure"


def test_the_pod_has_no_rights_that_it_does_not_need():
    _, pod = parts()
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.slow
def test_the_pod_s_command_plans_the_demo(tmp_path):
    _, pod = parts()
    (container,) = pod["containers"]
    options = [
        option
        for option in container["command"][1:]
        if not option.startswith(("--snakefile", "--configfile", "--cores"))
    ]
    result = snakemake(tmp_path, ROOT / "config/config.yaml", *options, "--dry-run")
    assert result.returncode == 0, result.stdout
    for option in ("--snakefile", "--configfile"):
        (path,) = (o.partition("=")[2] for o in container["command"] if o.startswith(option))
        assert (ROOT / path.removeprefix("/opt/headrank/")).is_file()


def test_the_image_pins_what_make_installs():
    text = IMAGE.read_text()
    makefile = (ROOT / "Makefile").read_text()
    (torch,) = set(re.findall(r"torch==[\d.]+", text))
    assert torch in makefile
    assert "--requirement /opt/headrank/requirements.lock" in text
    (python,) = re.findall(r"^FROM python:(3\.\d+)\.\d+-slim-bookworm AS base$", text, re.M)
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert needed == f">={python}"
    exported = dict(re.findall(r"^export (\w+) := (\S+)$", makefile, re.M))
    for name in ("PYTHONHASHSEED", "PYTHONNOUSERSITE", "OMP_WAIT_POLICY", "TOKENIZERS_PARALLELISM"):
        assert f"{name}={exported[name]}" in text


def test_the_image_knows_its_commit():
    text = IMAGE.read_text()
    assert "\nARG HEADRANK_COMMIT=\nENV HEADRANK_COMMIT=$HEADRANK_COMMIT\n" in text
    for path in (IMAGE, MANIFEST):
        assert "--build-arg HEADRANK_COMMIT=" in path.read_text()


def test_results_and_history_stay_out_of_the_image():
    ignored = set((ROOT / ".dockerignore").read_text().split())
    assert {"results", "resources", "logs", ".git", ".venv", ".snakemake"} <= ignored


def test_the_image_of_the_profile_is_the_one_that_the_dockerfile_builds():
    image = yaml.safe_load((PROFILE / "config.yaml").read_text())["container-image"]
    name = f"headrank:{headrank.__version__}"
    assert image == f"REGISTRY/{name}"
    assert f"docker build --tag {name} " in IMAGE.read_text()
    _, pod = parts()
    assert pod["containers"][0]["image"] == image


def test_what_pods_install_is_pinned():
    """Snakemake installs the storage plugin in each pod, and names no version of it."""
    (path,) = re.findall(r"PIP_CONSTRAINT=/opt/headrank/(\S+)", IMAGE.read_text())
    pins = [line for line in (ROOT / path).read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9-]+==[\w.]+", pin) for pin in pins), pins
    assert any(pin.startswith("snakemake-storage-plugin-s3==") for pin in pins)


@pytest.fixture
def store(tmp_path):
    with storage.running(tmp_path / "store") as running:
        yield running


def cluster(store, folder: Path, cwd: Path, *arguments: str) -> subprocess.CompletedProcess:
    """Run Snakemake through the profile, in a checkout, with this machine as the cluster."""
    given = {name: value for name, value in environment().items() if name != "SNAKEMAKE_PROFILE"}
    return subprocess.run(
        [
            *(sys.executable, "-m", "tests.cluster.pods", str(folder)),
            *("--workflow-profile", str(PROFILE), "--default-storage-prefix", storage.PREFIX),
            *("--seconds-between-status-checks", "1", "--jobs", "2", *arguments),
        ],
        cwd=cwd,
        env=given
        | {"PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ['PYTHONPATH']}"}
        | store.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def checkout(folder: Path) -> Path:
    """Return a git checkout in a folder: what git lists in it is sent to pods."""
    if shutil.which("git") is None:
        pytest.skip("no git, which tells what is sent to pods")
    folder.mkdir(exist_ok=True)
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    subprocess.run(["git", "add", "--all"], cwd=folder, check=True)
    return folder


def jobs(folder: Path) -> dict[str, dict]:
    """Return each Job that was submitted, by the rule and attempt that its command names."""
    found = {}
    for path in folder.glob("pods/*/job.json"):
        job = json.loads(path.read_text())
        (container,) = job["spec"]["template"]["spec"]["containers"]
        (command,) = container["args"][1:]
        rule = re.search(r"--allowed-rules '?(\w+)", command).group(1)
        attempt = re.search(r"--attempt (\d+)", command).group(1)
        found[f"{rule} {attempt}"] = job
    return found


@pytest.mark.slow
@needs_plugin
def test_pods_ask_for_what_jobs_need_and_hold_no_secret(store, tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "work/Snakefile").write_text(WORKFLOW)
    result = cluster(store, tmp_path, checkout(tmp_path / "work"))
    assert result.returncode == 0, result.stdout
    store.download("tiny", tmp_path / "down")
    assert (tmp_path / "down/gpu.txt").read_text() == "gpu\n"
    # The second attempt had more memory.
    assert (tmp_path / "down/again.txt").read_text() == "400\n"
    found = jobs(tmp_path)
    assert found.keys() == {"gpu 1", "again 1", "again 2"}
    for job in found.values():
        assert job["namespace"] == "default"
        pod = job["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        assert container["image"] == f"REGISTRY/headrank:{headrank.__version__}"
        assert "securityContext" not in container
        # Without a limit Kubernetes grants no GPU, and a pod may take its node's whole memory.
        limits = container["resources"]["limits"]
        assert limits.keys() == container["resources"]["requests"].keys()
        assert limits["ephemeral-storage"] == "10000M"
        named = {variable["name"] for variable in container["env"]}
        assert named >= store.environment.keys()
        assert "store-secret" not in json.dumps(job)
    gpu, again = (
        found[name]["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]
        for name in ("gpu 1", "again 2")
    )
    assert (gpu["nvidia.com/gpu"], gpu["memory"]) == ("1", "4000M")
    assert "nvidia.com/gpu" not in again and again["memory"] == "400M"
    (toleration,) = found["gpu 1"]["spec"]["template"]["spec"]["tolerations"]
    assert toleration["key"] == "nvidia.com/gpu"


def by_attention_alone(config: dict) -> None:
    """Change the experiment to one reading of one set."""
    for key in ("selections", "alignments", "profiling"):
        del config[key]
    config["sets"] = {"exam": config["sets"]["exam"]}
    config["methods"] = {"icr": config["methods"]["icr"]}
    config["experiment"]["methods"] = ["icr"]
    del config["evaluation"]


@pytest.mark.slow
@needs_plugin
def test_a_reading_is_made_and_ranked_in_pods(store, tmp_path):
    run = "results/runs/exam/tiny/none/shuffled/icr.run"
    work = tmp_path / "work"
    kept = ("resources", "results", "logs", ".venv", ".git", ".snakemake", "__pycache__")
    shutil.copytree(ROOT, work, ignore=shutil.ignore_patterns(*kept))
    config = write(work, by_attention_alone)
    store.upload(work / "given", "tiny/given")
    shutil.rmtree(work / "given")
    result = cluster(store, tmp_path, checkout(work), run, "--configfile", str(config))
    assert result.returncode == 0, result.stdout
    assert {"model 1", "collection 1", "index 1", "read 1", "rank_by_attention 1"} <= jobs(
        tmp_path
    ).keys()
    store.download("tiny", tmp_path / "down")
    plain = tmp_path / "plain"
    plain.mkdir()
    result = snakemake(plain, write(plain, by_attention_alone), run)
    assert result.returncode == 0, result.stdout
    assert (tmp_path / "down" / run).read_bytes() == (plain / run).read_bytes()
