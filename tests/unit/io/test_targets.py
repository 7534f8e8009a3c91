"""Outputs that are no plain files: links are kept, devices and pipes written to."""

import os
import stat
import threading

import pytest

from headrank.data.heads import HeadSet
from headrank.data.trec import Run
from headrank.errors import HeadRankError
from headrank.io.arrays import ArrayFile, save_arrays
from headrank.io.files import atomic, read_json, write_json, write_jsonl, write_text
from headrank.io.targets import check_output
from tests.helpers.command_line import HEADS


def device(path, minor):
    """Make a device node of its own, so that a fault here cannot harm the machine's."""
    try:
        os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, minor))
        with open(path, "wb"):
            return path
    except PermissionError:
        pytest.skip("this machine lets the tests make no device node")


WRITERS = {
    "text": lambda path: write_text(path, "text\n"),
    "json": lambda path: write_json(path, {"a": 1}),
    "jsonl": lambda path: write_jsonl(path, [{"a": 1}]),
    "run": lambda path: Run({"q": [("d", 1.0)]}).save(path),
    "heads": HEADS.save,
    "arrays": lambda path: save_arrays(path, {}, {}),
}


@pytest.fixture(params=WRITERS)
def writer(request):
    return WRITERS[request.param]


def test_a_device_stays_a_device(tmp_path, writer):
    null = device(tmp_path / "null", 3)
    writer(null)
    assert stat.S_ISCHR(null.stat().st_mode)
    assert [path.name for path in tmp_path.iterdir()] == ["null"]


def test_a_full_device_is_an_error(tmp_path, writer):
    full = device(tmp_path / "full", 7)
    with pytest.raises(HeadRankError, match=r"full: cannot be written, the disk, quota or size"):
        writer(full)
    assert stat.S_ISCHR(full.stat().st_mode)


def test_a_pipe_is_written_to(tmp_path, writer):
    pipe, plain, read = tmp_path / "pipe", tmp_path / "plain", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()), daemon=True)
    reader.start()
    writer(pipe)
    reader.join(timeout=10)
    writer(plain)
    assert len(read[0]) == len(plain.read_bytes()) > 0
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_link_is_kept_and_what_it_names_replaced(tmp_path, writer):
    (tmp_path / "far").mkdir()
    real, link, second = tmp_path / "far/real", tmp_path / "link", tmp_path / "second"
    real.write_text("old")
    link.symlink_to("far/real")
    second.symlink_to(link)
    writer(second)
    assert second.is_symlink() and link.is_symlink() and not real.is_symlink()
    assert real.read_bytes() != b"old"
    assert [path.name for path in real.parent.iterdir()] == ["real"]


def test_a_failed_write_through_a_link_leaves_the_old_file(tmp_path):
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_text("old")
    link.symlink_to(real)
    with pytest.raises(KeyError), atomic(link) as temporary:
        temporary.write_text("new")
        raise KeyError
    assert real.read_text() == "old" and link.is_symlink()


def test_a_link_to_nothing_makes_its_file(tmp_path, writer):
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "new/real")
    writer(link)
    assert link.is_symlink() and (tmp_path / "new/real").is_file()


def test_an_open_descriptor_is_written_at_its_place(tmp_path):
    with open(tmp_path / "log", "ab") as file:
        file.write(b"before\n")
        file.flush()
        for name in (f"/dev/fd/{file.fileno()}", f"/proc/self/fd/{file.fileno()}"):
            write_text(name, "text\n")
        file.write(b"after\n")
    assert (tmp_path / "log").read_text() == "before\ntext\ntext\nafter\n"
    with pytest.raises(HeadRankError, match="is closed; give the name of a file"):
        check_output(f"/dev/fd/{file.fileno() if not file.closed else 973}")


def test_what_no_output_can_be(tmp_path, writer):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "round").symlink_to("round")
    cases = {
        str(tmp_path): "is a folder; give the name of a file",
        f"{tmp_path}/new/": "names no file",
        "": "names no file",
        str(tmp_path / "round"): "lead in a circle",
        str(tmp_path / "file/below"): "is a file, not a folder",
    }
    for path, message in cases.items():
        for refuse in (check_output, writer):
            with pytest.raises(HeadRankError, match=message):
                refuse(path)
    assert (tmp_path / "file").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "round"]


def test_an_output_that_is_also_an_input(tmp_path):
    (tmp_path / "lists").write_text("mine")
    (tmp_path / "link").symlink_to("lists")
    for output in ("lists", "link", "../" + tmp_path.name + "/lists"):
        with pytest.raises(HeadRankError, match="is also an input"):
            check_output(f"{tmp_path}/{output}", [None, "-", tmp_path / "lists"])
    check_output(tmp_path / "other", [tmp_path / "lists", tmp_path / "absent"])
    check_output("-", ["-"])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_closed_folder_is_told_early(tmp_path):
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(HeadRankError, match="may not be written to"):
        check_output(tmp_path / "closed/new/file")


def test_a_folder_is_no_input_file(tmp_path):
    write_json(tmp_path / "heads.json", {})
    with pytest.raises(HeadRankError, match="is a folder; give"):
        read_json(tmp_path)
    with pytest.raises(HeadRankError, match="is a folder; give"):
        HeadSet.load(tmp_path)
    with pytest.raises(HeadRankError, match="is a folder, not the file of a reading"):
        ArrayFile(tmp_path, "reading", "read again")
    with pytest.raises(HeadRankError, match=r"heads\.json: is a file; give a folder"):
        read_json(tmp_path / "heads.json/below")
