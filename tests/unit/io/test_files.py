"""Files that appear whole or not at all, JSON that names its faults, digests."""

import hashlib
import os
import shutil
import stat

import pytest

from headrank.errors import HeadRankError
from headrank.io.files import (
    atomic,
    cards,
    check_sha256,
    digest,
    folder_of,
    read_json,
    read_jsonl,
    sha256,
    write_json,
    write_jsonl,
    write_text,
)
from headrank.io.folders import MANIFEST, atomic_dir


class Stop(Exception):
    pass


def test_a_file_appears_at_the_end(tmp_path):
    target = tmp_path / "deep" / "er" / "a.txt"
    with atomic(target) as temporary:
        temporary.write_text("new")
        assert not target.exists()
        assert temporary.parent == target.parent  # a rename, never a copy between disks
    assert target.read_text() == "new"
    assert [path.name for path in target.parent.iterdir()] == ["a.txt"]


def test_a_failed_write_leaves_the_old_file(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(Stop), atomic(target) as temporary:
        temporary.write_text("half of the n")
        raise Stop
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_a_failed_generator_leaves_no_jsonl(tmp_path):
    def records():
        yield {"a": 1}
        raise Stop

    with pytest.raises(Stop):
        write_jsonl(tmp_path / "a.jsonl", records())
    assert not list(tmp_path.iterdir())


def test_data_is_on_the_disk_before_the_name(tmp_path, monkeypatch):
    events = []
    sync, move = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (events.append("sync"), sync(fd)))
    monkeypatch.setattr(os, "replace", lambda *paths: (events.append("move"), move(*paths)))
    write_text(tmp_path / "a", "x")
    assert events == ["sync", "move"]


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_results_are_as_readable_as_any_new_file(tmp_path, umask):
    before = os.umask(umask)
    try:
        write_text(tmp_path / "a", "x")
        with atomic_dir(tmp_path / "b", "index") as folder:
            (folder / "c").write_text("x")
        assert os.umask(umask) == umask  # it was put back
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o666 & ~umask
    assert stat.S_IMODE((tmp_path / "b").stat().st_mode) == 0o777 & ~umask


def filled(folder, *names):
    for name in names:
        (folder / name).write_text(name)


def test_a_folder_replaces_the_old_one(tmp_path):
    target = tmp_path / "results" / "a"
    for names in (("one", "two"), ("two", "three")):
        with atomic_dir(target, "index") as temporary:
            filled(temporary, *names)
        assert sorted(path.name for path in target.iterdir()) == [MANIFEST, *sorted(names)]
    assert [path.name for path in target.parent.iterdir()] == ["a"]


def test_a_failed_folder_leaves_the_old_one(tmp_path):
    with atomic_dir(tmp_path / "a", "index") as temporary:
        filled(temporary, "one")
    with pytest.raises(Stop), atomic_dir(tmp_path / "a", "index") as temporary:
        filled(temporary, "two")
        raise Stop
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [MANIFEST, "one"]


def test_no_kill_leaves_half_a_folder(tmp_path, monkeypatch):
    """The old folder leaves in one step: what stands under the name is whole at any moment."""
    target = tmp_path / "a"
    with atomic_dir(target, "index") as temporary:
        filled(temporary, "one", "two")
    seen = []

    def look():
        seen.append(sorted(path.name for path in target.glob("[!.]*")) if target.exists() else None)

    def watch(module, name):
        original = getattr(module, name)

        def watched(*args, **kwargs):
            look()
            original(*args, **kwargs)
            look()

        monkeypatch.setattr(module, name, watched)

    watch(os, "replace")
    watch(os, "unlink")
    watch(shutil, "rmtree")
    with atomic_dir(target, "index") as temporary:
        filled(temporary, "three", "two")
    assert len(seen) >= 4
    assert all(names in (["one", "two"], None, ["three", "two"]) for names in seen)


def test_json_survives_the_file(tmp_path):
    value = {"b": [1, 2.5, None, True], "a": "é漢\u2028\n", "n": 0.1 + 0.2}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == value
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert text.startswith('{\n  "b"') and text.endswith("}\n") and "é漢" in text


def test_json_has_no_nan(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"a": float("nan")})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"{", b'{"a": \xff}'])
def test_broken_json_is_named(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(HeadRankError, match=r"a\.json: not valid JSON .*; make it anew"):
        read_json(tmp_path / "a.json")
    with pytest.raises(HeadRankError, match=r"b\.json: no such file"):
        read_json(tmp_path / "b.json")


def test_jsonl_survives_the_file_and_counts_lines(tmp_path):
    records = [{"a": "x\ny\u2028z\x85", "é": 1}, {}, {"b": [1.5]}]
    write_jsonl(tmp_path / "a.jsonl", iter(records))
    assert list(read_jsonl(tmp_path / "a.jsonl")) == list(enumerate(records, start=1))
    (tmp_path / "b.jsonl").write_text('\n{"a": 1}\n  \n{"a": 2}')
    assert list(read_jsonl(tmp_path / "b.jsonl")) == [(2, {"a": 1}), (4, {"a": 2})]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{", "not a line of JSON in UTF-8"),
        (b'{"a": "\xff"}', "not a line of JSON in UTF-8"),
        (b"[1]", "expected a JSON object, found list"),
        (b"null", "expected a JSON object, found NoneType"),
    ],
)
def test_a_broken_line_is_named(tmp_path, line, message):
    (tmp_path / "a.jsonl").write_bytes(b'{"a": 1}\n\n' + line + b"\n")
    rows = read_jsonl(tmp_path / "a.jsonl")
    assert next(rows) == (1, {"a": 1})
    with pytest.raises(HeadRankError, match=rf"a\.jsonl:3: {message}"):
        next(rows)
    with pytest.raises(HeadRankError, match=r"b\.jsonl: no such file"):
        next(read_jsonl(tmp_path / "b.jsonl"))


def test_digests(tmp_path):
    data = os.urandom(3 * (1 << 20) + 17)  # longer than one block
    (tmp_path / "a").write_bytes(data)
    (tmp_path / "b").write_bytes(b"")
    assert sha256(tmp_path / "a") == hashlib.sha256(data).hexdigest()
    both, turned = digest(tmp_path / "a", tmp_path / "b"), digest(tmp_path / "b", tmp_path / "a")
    assert len(both) == 16 and both != turned
    assert digest(tmp_path / "a", tmp_path / "b") == both
    (tmp_path / "b").write_bytes(b"x")
    assert digest(tmp_path / "a", tmp_path / "b") != both


def test_a_pinned_digest(tmp_path):
    (tmp_path / "a").write_bytes(b"data")
    pinned = hashlib.sha256(b"data").hexdigest()
    check_sha256(tmp_path / "a", pinned, "fetch it again")
    (tmp_path / "a").write_bytes(b"date")
    found = hashlib.sha256(b"date").hexdigest()
    with pytest.raises(
        HeadRankError, match=f"a: SHA-256 is {found}, pinned is {pinned}; fetch it again"
    ):
        check_sha256(tmp_path / "a", pinned, "fetch it again")


def test_a_folder_is_named_by_itself_or_by_a_file_in_it(tmp_path):
    folder = tmp_path / "models/qwen2.5"
    folder.mkdir(parents=True)
    (folder / "headrank.json").write_text("{}")
    for path in (folder, str(folder), folder / "headrank.json"):
        assert folder_of(path) == folder
    assert cards([folder / "headrank.json"], "headrank.json") == {
        "qwen2.5": folder / "headrank.json"
    }
    assert cards([folder], "headrank.json") == cards([folder / "headrank.json"], "headrank.json")
