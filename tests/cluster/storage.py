"""An object store of this machine: moto's server of the S3 protocol, and what tests ask of it."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

SECONDS = 60
BUCKET = "experiment"
PREFIX = f"s3://{BUCKET}/tiny"


def obstacle() -> str | None:
    """Return why no store can be started here; None if one can."""
    for module in ("moto", "flask", "snakemake_storage_plugin_s3"):
        if importlib.util.find_spec(module) is None:
            return f"no {module}: `make test-cluster` brings it"
    return None


class Store:
    """A running server, and one bucket of it."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables that tell Snakemake where the store is, and its keys."""
        names = {"ENDPOINT_URL": self.url, "ACCESS_KEY": "testing", "SECRET_KEY": "store-secret"}
        return {f"SNAKEMAKE_STORAGE_S3_{name}": value for name, value in names.items()}

    def bucket(self):
        """Return the bucket."""
        import boto3

        return boto3.resource(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="testing",
            aws_secret_access_key="store-secret",
        ).Bucket(BUCKET)

    def upload(self, folder: Path, prefix: str) -> None:
        """Bring every file of a folder into the bucket."""
        bucket = self.bucket()
        if not bucket.creation_date:
            bucket.create()
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                bucket.upload_file(str(path), f"{prefix}/{path.relative_to(folder).as_posix()}")

    def download(self, prefix: str, folder: Path) -> None:
        """Bring every object below a prefix into a folder."""
        for entry in self.bucket().objects.filter(Prefix=f"{prefix}/"):
            path = folder / entry.key.removeprefix(f"{prefix}/")
            path.parent.mkdir(parents=True, exist_ok=True)
            self.bucket().download_file(entry.key, str(path))


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Store]:
    """Run a store while the block lasts; its log goes into ``folder``."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "store.log", "wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            env=os.environ,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        end = time.monotonic() + SECONDS
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            assert process.poll() is None, (folder / "store.log").read_text()
            assert time.monotonic() < end, "the store did not start"
            time.sleep(0.1)
        yield Store(port)
    finally:
        process.terminate()
        process.wait()
