"""The Kubernetes job and the image, as far as they can be checked without a cluster."""

import re
import tomllib

import yaml

from tests.workflow.running import ROOT, snakemake

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
    (python,) = re.findall(r"^FROM python:(3\.\d+)\.\d+-slim-bookworm$", text, re.M)
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
