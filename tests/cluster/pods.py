"""A Kubernetes of this machine for tests: the API's calls, and pods that are processes.

``python -m tests.cluster.pods FOLDER SNAKEMAKE'S ARGUMENTS`` starts Snakemake with it. A Job's
command runs in an empty folder, with the image's variables, those of the pod and nothing of the
submitting process. Every Job is kept as JSON, as it would reach the API server.
"""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).parents[2]
# How pip reaches an index from here, and where the image would have the library.
REACH = ("PIP_", "HTTP", "http", "SSL_", "REQUESTS_")


def image_environment(folder: Path) -> dict[str, str]:
    """Return the variables that the Dockerfile sets, with its paths inside ``folder``."""
    text = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text())
    pairs = [
        pair.split("=", 1)
        for line in re.findall(r"^ENV (.+)$", text, re.M)
        for pair in line.split()
    ]
    found = {
        name: value.replace("/experiment", str(folder / "work")).replace("/opt/headrank", str(ROOT))
        for name, value in pairs
        if not value.startswith("$")
    }
    return found | {"PYTHONPATH": str(ROOT)}


class Cluster:
    """Secrets and Jobs of one namespace, and how each ended."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.secrets: dict[str, dict[str, str]] = {}
        self.ended: dict[str, int] = {}

    def create_namespaced_secret(self, namespace: str, secret) -> None:
        self.secrets[secret.metadata.name] = {
            key: base64.b64decode(value).decode() for key, value in secret.data.items()
        }

    def delete_namespaced_secret(self, name: str, namespace: str, body) -> None:
        del self.secrets[name]

    def list_namespaced_pod(self, namespace: str, label_selector: str):
        return SimpleNamespace(items=[])

    def create_namespaced_job(self, namespace: str, body) -> None:
        import kubernetes.client

        job = kubernetes.client.ApiClient().sanitize_for_serialization(body)
        name = job["metadata"]["name"]
        pod = self.folder / "pods" / name
        (pod / "workdir").mkdir(parents=True)
        (pod / "job.json").write_text(json.dumps({"namespace": namespace, **job}, indent=2))
        threading.Thread(target=self._run, args=(name, pod, job), daemon=True).start()

    def _run(self, name: str, pod: Path, job: dict) -> None:
        (container,) = job["spec"]["template"]["spec"]["containers"]
        given = {name: value for name, value in os.environ.items() if name.startswith(REACH)}
        given |= {"PATH": os.environ["PATH"], "HOME": str(pod), "USER": "root"}
        given |= image_environment(pod)
        for variable in container["env"]:
            wanted = variable["valueFrom"]["secretKeyRef"]
            given[variable["name"]] = self.secrets[wanted["name"]][wanted["key"]]
        with open(pod / "pod.log", "wb") as log:
            self.ended[name] = subprocess.run(
                [*container["command"], *container["args"]],
                cwd=pod / "workdir",
                env=given,
                stdout=log,
                stderr=subprocess.STDOUT,
                check=False,
            ).returncode

    def read_namespaced_job_status(self, name: str, namespace: str):
        code = self.ended.get(name)
        done = {None: (0, 0), 0: (1, 0)}.get(code, (0, 1))
        return SimpleNamespace(status=SimpleNamespace(succeeded=done[0], failed=done[1]))

    def delete_namespaced_job(self, name: str, namespace: str, **options) -> None:
        pass


def main(folder: str, *arguments: str) -> None:
    """Run Snakemake with the cluster in place of Kubernetes' client."""
    import kubernetes.client
    import kubernetes.config
    from snakemake.cli import main as snakemake

    cluster = Cluster(Path(folder))
    kubernetes.config.load_kube_config = lambda: None
    kubernetes.client.CoreV1Api = kubernetes.client.BatchV1Api = lambda: cluster
    snakemake(arguments)


if __name__ == "__main__":
    main(*sys.argv[1:])
