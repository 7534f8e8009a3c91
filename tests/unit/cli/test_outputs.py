"""What every command does with the places it writes to: nothing of a user's is ever lost."""

import contextlib
import importlib
import io
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from headrank.cli import main
from headrank.data.trec import Run
from headrank.ranker.ranker import HeadRanker
from tests.helpers import command_line
from tests.helpers import tiny_models as tiny
from tests.helpers.command_line import QUERIES, labelled, record, refused, write

# pytest finds a fixture by its name in the module that uses it.
heads = command_line.heads
model = command_line.model
collection = command_line.collection

ROOT = Path(__file__).parents[3]
# The locale that decodes arguments and names paths with no more than ASCII.
NARROW = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.fixture
def lists(tmp_path):
    return write(tmp_path / "lists.jsonl", [record(name) for name in QUERIES])


@pytest.fixture
def commands(tmp_path, heads, model, lists, collection):
    """Return each command that writes a file, without the option that names it."""
    training = write(tmp_path / "labelled.jsonl", [labelled(n) for n in range(4)])
    return {
        "rerank": ["rerank", lists, "--model", model, "--heads", heads],
        "profile": ["profile", training, "--model", model],
        "bm25": ["bm25", "--collection", str(collection)],
    }


def command(arguments, stdout=subprocess.PIPE, **environment):
    """Run the command as a process of its own."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("LC_", "LANG", "PYTHON"))}
    return subprocess.run(
        [sys.executable, "-m", "headrank.cli", *arguments],
        cwd=ROOT,
        env={**kept, **environment},
        stdout=stdout,
        stderr=subprocess.PIPE,
        timeout=300,
        check=False,
    )


def no_work(monkeypatch):
    """Let every start of work fail: a refusal must come before it."""

    def begun(*args, **kwargs):
        raise AssertionError("the work began")

    # First imported under the patch, a module would keep the patched name for later tests.
    for module in ("models.prepare", "collections.build"):
        importlib.import_module(f"headrank.{module}")
    monkeypatch.setattr("headrank.models.decoder.load_model", begun)
    monkeypatch.setattr("headrank.first_stage.bm25.Bm25Index.build", begun)
    monkeypatch.setattr("headrank.models.safe_loading.check_weights", begun)
    monkeypatch.setattr("headrank.collections.local.import_local", begun)


@pytest.mark.parametrize("name", ["rerank", "profile", "bm25"])
def test_an_output_that_cannot_be_is_refused_before_the_work(
    tmp_path, capsys, monkeypatch, commands, name
):
    no_work(monkeypatch)
    (tmp_path / "file").write_text("mine")
    before = sorted(tmp_path.iterdir())
    for output, message in (
        (tmp_path, "is a folder; give the name of a file"),
        (f"{tmp_path}/new/", "names no file"),
        (tmp_path / "file/below", "is a file, not a folder"),
    ):
        assert message in refused(capsys, [*commands[name], "-o", str(output)])
    assert (tmp_path / "file").read_text() == "mine"
    assert sorted(tmp_path.iterdir()) == before


def test_an_output_over_an_input_is_refused(tmp_path, capsys, monkeypatch, commands, collection):
    no_work(monkeypatch)
    cases = [
        ("rerank", commands["rerank"][1]),
        ("rerank", commands["rerank"][-1]),
        ("profile", commands["profile"][1]),
        ("bm25", str(collection / "corpus.jsonl")),
        ("bm25", str(collection / "qrels.tsv")),
    ]
    for name, path in cases:
        before = Path(path).read_bytes()
        assert "is also an input" in refused(capsys, [*commands[name], "-o", path])
        assert Path(path).read_bytes() == before
    both = ["-o", str(tmp_path / "x"), "--table", f"{tmp_path}/../{tmp_path.name}/x"]
    assert "give two files" in refused(capsys, [*commands["profile"], *both], code=2)
    table = ["-o", str(tmp_path / "x"), "--table", commands["profile"][1]]
    assert "is also an input" in refused(capsys, [*commands["profile"], *table])


@pytest.mark.parametrize("name", ["rerank", "profile", "bm25"])
def test_devices_pipes_and_links_are_written_to(tmp_path, capsys, commands, name):
    plain, real, link = tmp_path / "plain", tmp_path / "real", tmp_path / "link"
    assert main([*commands[name], "-o", str(plain)]) == 0
    link.symlink_to("real")
    assert main([*commands[name], "-o", str(link)]) == 0
    assert link.is_symlink() and real.read_bytes() == plain.read_bytes()
    try:
        os.mknod(tmp_path / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        os.mknod(tmp_path / "full", 0o666 | stat.S_IFCHR, os.makedev(1, 7))
        (tmp_path / "null").write_text("x")
    except PermissionError:
        pytest.skip("this machine lets the tests make no device node")
    assert main([*commands[name], "-o", str(tmp_path / "null")]) == 0
    message = refused(capsys, [*commands[name], "--quiet", "-o", str(tmp_path / "full")])
    assert "full: cannot be written" in message
    for node in ("null", "full"):
        assert stat.S_ISCHR((tmp_path / node).stat().st_mode)


@contextlib.contextmanager
def descriptor_1(file):
    """Let this process's standard output be a file, as a shell's ``>>`` does."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(file.fileno(), 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


@pytest.mark.parametrize("place", ["/dev/stdout", "/dev/fd/1"])
def test_standard_output_by_name(tmp_path, commands, place):
    log = tmp_path / "log"
    log.write_text("before\n")
    with open(log, "ab") as file, descriptor_1(file):
        assert main([*commands["bm25"], "-o", place]) == 0
    assert main([*commands["bm25"], "-o", str(tmp_path / "plain")]) == 0
    assert log.read_text() == "before\n" + (tmp_path / "plain").read_text()


def test_a_folder_of_a_users_is_refused_before_the_work(
    tmp_path, capsys, monkeypatch, heads, model, collection
):
    training = write(tmp_path / "labelled.jsonl", [labelled(n) for n in range(4)])
    mine = tmp_path / "mine"
    for part in ("", "models/random", "collections/tiny"):
        (mine / part).mkdir(parents=True, exist_ok=True)
        (mine / part / "thesis.tex").write_text("years")
    config = tmp_path / "config.yaml"
    source = {"kind": "local", "path": str(tiny.folder("llama"))}
    own = {"kind": "local", "path": str(collection)}
    declared = {
        "models": {"random": {"source": source, "format": "safetensors"}},
        "collections": {"tiny": {"source": own}},
    }
    config.write_text(json.dumps(declared))
    no_work(monkeypatch)
    fetch = ["fetch", "--config", str(config), "--into", str(mine)]
    align = ["align", training, "--model", model, "--heads", heads, "-o"]
    index = ["bm25", "--collection", str(collection), "-o", str(tmp_path / "x"), "--index"]
    for arguments in (
        [*index, str(mine)],
        [*align, str(mine)],
        [*fetch, "random"],
        [*fetch, "tiny"],
    ):
        assert "thesis.tex); give a new or an empty folder" in refused(capsys, arguments)
    assert "holds a collection, not a BM25 index" in refused(capsys, [*index, str(collection)])
    for arguments in ([*index, heads], [*align, heads]):
        assert "is a file; give the name of a folder" in refused(capsys, arguments)
    assert len(list(mine.rglob("thesis.tex"))) == 3
    assert not (tmp_path / "x").exists()


def test_our_own_folders_are_replaced(tmp_path, heads, model, collection):
    training = write(tmp_path / "labelled.jsonl", [labelled(n) for n in range(4)])
    align = ["align", training, "--model", model, "--heads", heads, "--epochs", "1", "--quiet"]
    for _ in range(2):
        assert main([*align, "--hold-out", "0.3", "-o", str(tmp_path / "adapter")]) == 0
    index = ["bm25", "--collection", str(collection), "--index", str(tmp_path / "index")]
    (tmp_path / "index").mkdir()
    for _ in range(2):  # the second time it is read
        assert main([*index, "-o", str(tmp_path / "x")]) == 0
    (tmp_path / "index/index.json").unlink()
    assert main([*index, "-o", str(tmp_path / "y")]) == 0
    assert Run.load(tmp_path / "x") == Run.load(tmp_path / "y")


def test_alignment_takes_no_file_of_a_users(tmp_path, capsys, monkeypatch, heads, model):
    training = write(tmp_path / "labelled.jsonl", [labelled(n) for n in range(4)])
    align = ["align", training, "--model", model, "--heads", heads, "--epochs", "1", "--quiet"]
    align += ["--hold-out", "0.3"]
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    inside = [*align, "-o", str(tmp_path / "new/adapter"), "--checkpoint"]
    assert main([*inside, str(tmp_path / "new/checkpoint")]) == 0
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["adapter"]
    monkeypatch.chdir(tmp_path)
    outside = tmp_path.parent / f"{tmp_path.name}-adapter"
    assert main([*align, "-o", str(outside), "--checkpoint", "."]) == 0
    assert {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before
    no_work(monkeypatch)
    for checkpoint in ("new", "new/adapter", "new/adapter/c", "other/../new/adapter"):
        assert "lie in each other" in refused(capsys, [*inside, str(tmp_path / checkpoint)])
    assert (tmp_path / "new/adapter/adapter_model.safetensors").is_file()


def test_weights_have_the_umask(tmp_path, heads, model, collection):
    training = write(tmp_path / "labelled.jsonl", [labelled(n) for n in range(4)])
    config = tmp_path / "config.yaml"
    source = {"kind": "local", "path": str(tiny.folder("llama"))}
    config.write_text(
        json.dumps({"models": {"random": {"source": source, "format": "safetensors"}}})
    )
    before = os.umask(0o027)
    try:
        align = ["align", training, "--model", model, "--heads", heads, "--epochs", "1"]
        assert main([*align, "--hold-out", "0.3", "-o", str(tmp_path / "out/adapter")]) == 0
        ranker = HeadRanker.from_pretrained(model, adapter=tmp_path / "out/adapter")
        ranker.save_pretrained(tmp_path / "out/ranker")
        index = ["bm25", "--collection", str(collection), "--index", str(tmp_path / "out/index")]
        assert main([*index, "-o", str(tmp_path / "out/run")]) == 0
        fetch = ["fetch", "random", "--config", str(config), "--into", str(tmp_path / "out")]
        assert main(fetch) == 0
    finally:
        os.umask(before)
    found = {path: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "out").rglob("*")}
    assert {mode for path, mode in found.items() if path.is_file()} == {0o640}
    assert {mode for path, mode in found.items() if path.is_dir()} == {0o750}
    assert sum(path.suffix == ".safetensors" for path in found) == 3


@pytest.mark.slow
@pytest.mark.parametrize("narrow", ["ascii", "latin-1", "C"])
def test_a_ranking_outlasts_a_narrow_standard_output(tmp_path, monkeypatch, heads, model, narrow):
    """Ids and queries that the locale's encoding lacks; the file on a disk is the measure."""
    own = {"query": "какой полис? 保険 é", "query_id": "保1"}
    lists = write(tmp_path / "lists.jsonl", [record(**own)])
    rerank = ["rerank", lists, "--model", model, "--heads", heads, "--quiet"]
    assert main([*rerank, "-o", str(tmp_path / "plain")]) == 0
    if narrow == "C":
        done = command(rerank, **NARROW)
        assert (done.returncode, done.stderr) == (0, b"")
        shown = done.stdout
    else:
        stream = io.TextIOWrapper(io.BytesIO(), encoding=narrow, errors="strict")
        monkeypatch.setattr(sys, "stdout", stream)
        assert main(rerank) == 0
        shown = stream.buffer.getvalue()
    assert shown == (tmp_path / "plain").read_bytes()
    assert "保険 é".encode() in shown


@pytest.mark.slow
def test_every_command_prints_to_a_narrow_standard_output(tmp_path, heads, model, collection):
    folder = tmp_path / "Käse 保"
    folder.mkdir()
    run, info = folder / "né.run", folder / "né.json"
    Run({name: [("d1", 2.0), ("d3", 1.0)] for name in QUERIES}, "né").save(run)
    info.write_bytes(Path(heads).read_bytes())
    config = folder / "config.yaml"
    source = {"kind": "local", "path": "/прочее"}
    config.write_text(
        json.dumps({"models": {"ne": {"source": source, "format": "safetensors"}}}),
        encoding="utf-8",
    )
    qrels = str(collection / "qrels.tsv")
    for arguments, expected in (
        (["evaluate", str(run), "--qrels", qrels], str(run)),
        (["evaluate", str(run), "--qrels", qrels, "--per-query"], str(run)),
        (["bm25", "--collection", str(collection), "--quiet"], "bm25"),
        (["fetch", "--config", str(config)], "/прочее"),
        (["info", str(info)], "heads"),
    ):
        done = command(arguments, **NARROW)
        assert done.returncode == 0, done.stderr
        assert expected.encode() in done.stdout
    done = command(["verify", str(folder / "absent")], **NARROW)
    assert done.returncode == 1
    assert done.stderr.startswith(b"headrank: ") and b"Traceback" not in done.stderr


def test_a_standard_output_that_takes_nothing_is_an_error(tmp_path, heads, commands):
    with open("/dev/full", "wb") as full:
        done = command(["info", heads], stdout=full)
    assert done.returncode == 1
    assert done.stderr.decode().splitlines() == [
        "headrank: standard output: cannot be written (No space left on device)"
    ]
    line = [sys.executable, "-m", "headrank.cli", *commands["bm25"], "--quiet"]
    closed = subprocess.run(
        ["sh", "-c", '"$@" >&-', "sh", *line], cwd=ROOT, capture_output=True, check=False
    )
    assert closed.returncode == 1
    assert closed.stderr.decode().startswith("headrank: standard output is closed; name a file")


def test_folders_given_for_files_and_files_for_folders(tmp_path, capsys, heads, model, lists):
    rerank = ["rerank", lists, "--model", model]
    (tmp_path / "folder").mkdir()
    folder, adapter = str(tmp_path / "folder"), [*rerank, "--adapter"]
    assert "is a folder; give" in refused(capsys, [*rerank, "--heads", folder])
    prompt = [*rerank, "--heads", heads, "--prompt", folder]
    assert "is a folder; give" in refused(capsys, prompt)
    assert f"{heads}: is a file; give a folder" in refused(capsys, [*adapter, heads])
    assert "heads.json: no such file" in refused(capsys, [*adapter, folder])
    assert "is a folder; give" in refused(capsys, ["rerank", folder, *rerank[2:], "--heads", heads])
    assert "no such file" in refused(capsys, ["bm25", "--collection", heads])
    assert "is a folder; give" in refused(capsys, ["fetch", "--config", folder])
    assert "no such file" in refused(capsys, ["verify", heads])
    into = ["fetch", "smollm2", "--into", heads]
    assert "is a file, not a folder" in refused(capsys, into)


def test_a_saved_ranker_is_pointed_to_its_base(tmp_path, capsys, heads, model, lists):
    HeadRanker.from_pretrained(model, heads).save_pretrained(tmp_path / "saved")
    card = json.loads((tmp_path / "saved/ranker.json").read_text())
    card["model"]["path"] = "../elsewhere"
    (tmp_path / "saved/ranker.json").write_text(json.dumps(card))
    rerank = ["rerank", lists, "--quiet", "--model"]
    message = refused(capsys, [*rerank, str(tmp_path / "saved")])
    assert f"its base model is not at {tmp_path}/elsewhere; give its folder" in message
    assert main([*rerank, str(tmp_path / "saved"), "--base", model]) == 0
    moved = capsys.readouterr().out
    assert main([*rerank, model, "--heads", heads]) == 0
    assert capsys.readouterr().out == moved


def test_notes_do_not_land_among_the_results_where_stderr_is_closed(tmp_path):
    command = "import sys; from headrank.cli import main; sys.exit(main(['info', 'nothere']))"
    done = subprocess.run(
        ["bash", "-c", 'exec "$0" -c "$1" 2>&-', sys.executable, command],
        capture_output=True,
        check=False,
        cwd=tmp_path,
    )
    assert (done.returncode, done.stdout) == (1, b"")
