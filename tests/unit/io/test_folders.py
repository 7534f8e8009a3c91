"""Made folders replace their own kind and never a user's files."""

import contextlib
import json
import os
import stat

import pytest

from headrank.errors import HeadRankError
from headrank.io import folders
from headrank.io.folders import (
    ADAPTER,
    COLLECTION,
    INDEX,
    MANIFEST,
    MODEL,
    RANKER,
    atomic_dir,
    check_replaceable,
    set_aside,
    visible_files,
)


def make(path, kind=INDEX, names=("one", "sub/two")):
    with atomic_dir(path, kind) as temporary:
        for name in names:
            (temporary / name).parent.mkdir(exist_ok=True)
            (temporary / name).write_text(name)


def everything(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def refused(path, kind, message):
    """Both the early check and the writer refuse, and nothing on the disk changes."""
    before = everything(path.parent)
    with pytest.raises(HeadRankError, match=message):
        check_replaceable(path, kind)
    with pytest.raises(HeadRankError, match=message), atomic_dir(path, kind):
        raise AssertionError("the work began")
    assert everything(path.parent) == before


@pytest.mark.parametrize("kind", [INDEX, None])
def test_a_users_folder_is_refused(tmp_path, kind):
    target = tmp_path / "mine"
    target.mkdir()
    make(target, kind)  # empty: may be taken
    (tmp_path / "other/deep").mkdir(parents=True)
    (tmp_path / "other/deep/thesis.tex").write_text("years")
    refused(tmp_path / "other", kind, r"did not write \(deep/thesis\.tex\); give a new or")


def test_hidden_files_and_folders_are_not_seen(tmp_path):
    for name in ("b", "a/c", ".git/x", "a/.cache/y", "a/.z"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "empty").mkdir()
    assert visible_files(tmp_path) == {"a/c": tmp_path / "a/c", "b": tmp_path / "b"}
    assert visible_files(tmp_path / "absent") == {}


def test_a_file_beside_ours_is_refused(tmp_path):
    target = tmp_path / "a"
    make(target)
    make(target, names=("three",))
    assert set(everything(target)) == {MANIFEST, "three"}
    for name in ("notes.txt", ".hidden", "sub/notes", "link"):
        (target / name).parent.mkdir(exist_ok=True)
        if name == "link":
            (target / name).symlink_to("nowhere")
        else:
            (target / name).write_text("mine")
        refused(target, INDEX, rf"did not write \({name}\)")
        (target / name).unlink()
    (target / "three").write_text("changed by hand")
    refused(target, INDEX, "three was changed since HeadRank wrote it")


def test_another_kind_is_refused(tmp_path):
    make(tmp_path / "a", COLLECTION)
    refused(tmp_path / "a", INDEX, "holds a collection, not a BM25 index")
    refused(tmp_path / "a", None, "did not write")


@pytest.mark.parametrize(
    ("kind", "card", "entries", "others"),
    [
        (RANKER, "ranker.json", {"options": {}}, ()),
        (INDEX, "index.json", {"postings": 1}, ()),
        (COLLECTION, "collection.json", {"counts": {}}, ()),
        (ADAPTER, "headrank.json", {"model_digest": "0"}, ("training.csv", "validation.csv")),
        (MODEL, "headrank.json", {"source": {}}, ()),
    ],
)
def test_folders_of_earlier_versions_are_known_by_their_cards(
    tmp_path, kind, card, entries, others
):
    target = tmp_path / "old"
    (target / "adapter").mkdir(parents=True)
    hashes = {name: "0" for name in ("a.npy", "adapter/b")}
    for name in (*hashes, *others):
        (target / name).write_text(name)
    (target / card).write_text(json.dumps({**entries, "sha256": hashes}))
    (target / "thesis").write_text("mine")
    refused(target, kind, r"did not write \(thesis\)")
    (target / "thesis").unlink()
    refused(target, "other", f"holds an? {kind}, not an other")
    make(target, kind)
    assert set(everything(target)) == {MANIFEST, "one", "sub/two"}


@pytest.mark.parametrize("card", ["{", "[]", '{"files": 3, "kind": "BM25 index"}', "{}"])
def test_a_list_of_another_make_is_no_leave(tmp_path, card):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/one").write_text("mine")
    (tmp_path / "a" / MANIFEST).write_text(card)
    refused(tmp_path / "a", INDEX, r"did not write \(one\)")


def test_places_that_cannot_be_replaced(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("mine")
    refused(tmp_path / "file", INDEX, "is a file; give the name of a folder")
    refused(tmp_path / "file/below", INDEX, "is a file, not a folder")
    (tmp_path / "here/sub").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here/sub")
    for path in (".", "..", tmp_path / "here"):
        with pytest.raises(HeadRankError, match="is the working folder; give a folder inside"):
            check_replaceable(path, INDEX)
    with pytest.raises(HeadRankError, match="names no folder"):
        check_replaceable("", INDEX)
    with pytest.raises(HeadRankError, match="is a mount"):
        check_replaceable("/proc", INDEX)


def test_a_link_to_a_folder_is_kept(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    for names in (("one",), ("two",)):
        make(tmp_path / "link", names=names)
        assert (tmp_path / "link").is_symlink()
        assert set(everything(tmp_path / "real")) == {MANIFEST, *names}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "real"]


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_every_file_has_the_umask(tmp_path, umask):
    before = os.umask(umask)
    try:
        with atomic_dir(tmp_path / "a", INDEX) as temporary:
            (temporary / "sub").mkdir(mode=0o700)
            for name in ("one", "sub/two"):
                (temporary / name).write_text("x")
                (temporary / name).chmod(0o600)
            (temporary / "link").symlink_to("one")
    finally:
        os.umask(before)
    for path in (tmp_path / "a", *(tmp_path / "a").rglob("*")):
        expected = 0o777 & ~umask if path.is_dir() else 0o666 & ~umask
        assert stat.S_IMODE(path.stat().st_mode) == expected, path


def test_what_came_meanwhile_is_not_lost_and_neither_is_the_work(tmp_path):
    target = tmp_path / "a"
    make(target)
    with (
        pytest.raises(HeadRankError, match=r"did not write \(mine\).* was made is at .*a\.new"),
        atomic_dir(target, INDEX) as temporary,
    ):
        (temporary / "new").write_text("hours")
        (target / "mine").write_text("mine")
    assert everything(target).keys() == {MANIFEST, "one", "sub/two", "mine"}
    assert (tmp_path / "a.new/new").read_text() == "hours"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "a.new"]


class Kill(BaseException):
    pass


@pytest.mark.parametrize("exchange", [True, False])
def test_a_folder_is_always_there(tmp_path, monkeypatch, exchange):
    """A stop at any rename or deletion leaves the old folder or the new one, whole."""
    if not exchange:
        monkeypatch.setattr(folders, "_exchange", lambda one, other: False)
    for stop in range(4):
        target = tmp_path / str(exchange) / str(stop)
        make(target, names=("old",))
        calls = 0

        def count(original, stop=stop):
            def counted(*args, **kwargs):
                nonlocal calls
                calls += 1
                if calls == stop + 1:
                    raise Kill
                return original(*args, **kwargs)

            return counted

        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", count(os.replace))
            patch.setattr(folders, "_exchange", count(folders._exchange))
            with contextlib.suppress(Kill):
                make(target, names=("new",))
        assert set(everything(target)) in ({MANIFEST, "old"}, {MANIFEST, "new"})
        make(target, names=("newer",))


def test_the_disk_exchanges_names_here(tmp_path):
    make(tmp_path / "a", names=("one",))
    make(tmp_path / "b", names=("two",))
    if not folders._exchange(tmp_path / "a", tmp_path / "b"):
        pytest.skip("this disk cannot exchange two names at once")
    assert "two" in everything(tmp_path / "a") and "one" in everything(tmp_path / "b")


def test_a_workflows_job_moves_what_it_cannot_tell_aside(tmp_path, caplog):
    target = tmp_path / "smollm2"
    set_aside(target, MODEL)
    make(target, MODEL)
    set_aside(target, MODEL)
    assert (target / "one").is_file()
    for number in ("", "-2"):
        target.mkdir(exist_ok=True)
        (target / "model.safetensors").write_text("of an earlier version")
        (target / MANIFEST).unlink(missing_ok=True)
        set_aside(target, MODEL)
        assert not target.exists()
        kept = tmp_path / f"smollm2.before{number}"
        assert (kept / "model.safetensors").read_text() == "of an earlier version"
        assert str(kept) in caplog.text


def test_a_folder_that_another_process_marked_meanwhile_is_taken(tmp_path, monkeypatch):
    """It has begun to fill it: what it wrote is no user's file."""
    made, asked = folders._made, []

    def first_unmarked(target):
        asked.append(target)
        if len(asked) > 1:
            return made(target)
        (target / folders.MANIFEST).write_text(
            json.dumps({"headrank": "0", "kind": "store", "files": {}})
        )
        (target / ".lock").touch()
        return None

    monkeypatch.setattr(folders, "_made", first_unmarked)
    folders.mark_growing(tmp_path, "store")
    monkeypatch.setattr(folders, "_made", made)
    (tmp_path / folders.MANIFEST).unlink()
    with pytest.raises(HeadRankError, match=r"did not write \(.lock\)"):
        folders.mark_growing(tmp_path, "store")
