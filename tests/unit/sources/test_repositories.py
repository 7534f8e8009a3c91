"""Collections from repositories at a commit: BRIGHT from Parquet files, NovelEval from text."""

import hashlib
import http.server
import json
import threading

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrank.collections.builders import bright, noveleval
from headrank.collections.builders.repositories import build_from_repository
from headrank.collections.collection import (
    iter_documents,
    load_candidates,
    load_exclusions,
    load_qrels,
    load_queries,
    verify_collection,
)
from headrank.sources import github
from headrank.sources.github import fetch_github
from tests.helpers.expected_errors import refused

COMMIT = "a75a0eb483f6a5233a6efc2d63d71540a4443dfb"

# --- BRIGHT ----------------------------------------------------------------------------

DOCUMENTS = [
    ("a/one.txt", "Insects fly to light."),
    ("b two.txt", "Moths keep the moon at an angle."),
    ("c.txt", " "),
    ("a/one.txt", "Insects fly to light."),
    ("d.txt", "Unrelated."),
]
EXAMPLES = [
    ("0", "Why do insects\nfly to light? ", ["b two.txt"], ["N/A"]),
    ("1", "What is lift?", ["a/one.txt", "c.txt"], ["d.txt", "gone.txt"]),
]


def parquet(path, columns, rows, schema=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    values = list(zip(*rows, strict=True)) or [[] for _ in columns]
    pq.write_table(
        pa.table({name: list(v) for name, v in zip(columns, values, strict=True)}, schema), path
    )


def repository(folder, documents=DOCUMENTS, examples=EXAMPLES):
    """Write a task's files as the hub has them, the documents in two of them."""
    for number, part in enumerate((documents[:2], documents[2:])):
        name = f"documents/pony-0000{number}-of-00002.parquet"
        parquet(folder / name, ("id", "content"), part)
    rows = [(*row[:2], "because", *row[2:], ["long.txt"]) for row in examples]
    columns = ("id", "query", "reasoning", "gold_ids", "excluded_ids", "gold_ids_long")
    parquet(folder / "examples/pony-00000-of-00001.parquet", columns, rows)
    return folder


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub that serves the files of ``tmp_path / "hub"``; its calls are listed."""
    import huggingface_hub

    calls = []

    def snapshot_download(**options):
        calls.append(options)
        for path in (tmp_path / "hub").rglob("*.parquet"):
            place = options["local_dir"] / path.relative_to(tmp_path / "hub")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(path.read_bytes())

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    return calls


SOURCE = {"kind": "huggingface", "repository": "xlangai/BRIGHT", "revision": COMMIT}
SOURCE |= {"builder": "bright", "task": "pony"}


def test_a_task_becomes_a_collection(hub, tmp_path):
    repository(tmp_path / "hub")
    expect = {"documents": 4, "queries": 2, "judgments": 3}
    counts = build_from_repository(SOURCE | {"expect": expect}, tmp_path / "c/bright")
    (call,) = hub
    assert (call["repo_type"], call["revision"]) == ("dataset", COMMIT)
    assert call["allow_patterns"] == ["documents/pony-*.parquet", "examples/pony-*.parquet"]
    assert (counts["documents"], counts["queries"], counts["grades"]) == (3, 2, {"1": 3})
    folder = tmp_path / "c/bright"
    texts = {document.doc_id: document.text for document in iter_documents(folder)}
    assert list(texts) == ["a/one.txt", "b%20two.txt", "d.txt"]
    assert load_queries(folder, "test")["0"].text == "Why do insects\nfly to light?"
    # A gold document without text stays judged, and counts as never retrieved.
    assert load_qrels(folder).grades == {
        "0": {"b%20two.txt": 1},
        "1": {"a/one.txt": 1, "c.txt": 1},
    }
    assert load_exclusions(folder) == {"1": {"d.txt"}}
    card = json.loads((folder / "collection.json").read_text())
    assert card["absent"] == ["c.txt"]
    told = ("revision", "repeated_documents", "respelled_ids", "excluded_without_document")
    assert [card["source"][key] for key in told] == [COMMIT, 1, 1, 1]
    assert card["source"]["dropped_documents"] == 1
    verify_collection(folder)
    # The fetched files are gone, and nothing else is left.
    assert [path.name for path in (tmp_path / "c").iterdir()] == ["bright"]


def test_other_counts_than_expected_keep_what_was_fetched(hub, tmp_path):
    repository(tmp_path / "hub")
    with refused("documents 4, expected 5", COMMIT):
        build_from_repository(SOURCE | {"expect": {"documents": 5}}, tmp_path / "c")
    assert not (tmp_path / "c").exists()
    build_from_repository(SOURCE, tmp_path / "c")
    assert len(hub) == 1


def test_a_question_without_gold_documents(hub, tmp_path):
    repository(tmp_path / "hub", examples=[*EXAMPLES, ("2", "Nobody knows?", [], ["N/A"])])
    with refused("1 of 3 queries have no judgments", "unjudged: drop"):
        build_from_repository(SOURCE, tmp_path / "c")
    counts = build_from_repository(SOURCE | {"unjudged": "drop"}, tmp_path / "c")
    assert counts["queries"] == 2


BROKEN = [
    ({"examples": [("0", "q", ["gone.txt"], ["N/A"])]}, "gold document gone.txt is not among"),
    ({"examples": [("0", "q", ["d.txt"], ["d.txt"])]}, "d.txt is both gold and excluded"),
    ({"examples": [EXAMPLES[0], EXAMPLES[0]]}, "question 0 of pony stands there twice"),
    ({"documents": [*DOCUMENTS, ("d.txt", "x")]}, "document d.txt of pony has two different texts"),
]


@pytest.mark.parametrize(("change", "text"), BROKEN, ids=[text for _, text in BROKEN])
def test_what_does_not_fit_together_is_refused(tmp_path, change, text):
    with refused(text):
        bright.build(repository(tmp_path, **change), "pony")


def test_other_files_than_those_of_a_task(tmp_path):
    repository(tmp_path)
    with refused("no file documents/aops-\\*.parquet"):
        bright.build(tmp_path, "aops")
    (file,) = (tmp_path / "examples").iterdir()
    parquet(file, ("id", "query", "gold_ids"), [("0", "q", ["d.txt"])])
    with refused("no column 'excluded_ids'; found: id, query, gold_ids"):
        bright.build(tmp_path, "pony")
    file.write_bytes(b"PAR1 but nothing else")
    with refused(file.name, "not a Parquet file that can be read"):
        bright.build(tmp_path, "pony")


# --- NovelEval -------------------------------------------------------------------------

FILES = {
    "NovelEval/corpus.tsv": '0-0\t"He said ""no""."\n0-1\tNight.\n3-0\tA tab\tin it.\n',
    "NovelEval/queries.tsv": "0\tWhat did he say?\n3\tWhat is in it?\n",
    "NovelEval/qrels.txt": "0 Q0 0-0 2\n0 Q0 0-1 0\n3 Q0 3-0 1\n",
}
EXPECTED = {"documents": 3, "queries": {"test": 2}}


def write(folder, files=FILES):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def hashes(files=FILES):
    return {name: hashlib.sha256(text.encode()).hexdigest() for name, text in files.items()}


def test_each_question_has_its_passages_as_candidates(tmp_path):
    parts = noveleval.build(write(tmp_path), EXPECTED)
    assert [document.text for document in parts.documents] == [
        'He said "no".',
        "Night.",
        "A tab in it.",
    ]
    assert parts.candidates.rankings["0"] == [("0-0", 1.0), ("0-1", 0.5)]
    assert parts.qrels.grades == {"0": {"0-0": 2, "0-1": 0}, "3": {"3-0": 1}}
    with refused("documents 3, expected 420"):
        noveleval.build(tmp_path)


def test_files_that_are_not_novelevals(tmp_path):
    with refused("corpus.tsv: no such file; pin NovelEval/corpus.tsv"):
        noveleval.build(tmp_path, EXPECTED)
    write(tmp_path, FILES | {"NovelEval/corpus.tsv": "0-0\n"})
    with refused("record 1 has one column"):
        noveleval.build(tmp_path, EXPECTED)
    write(tmp_path, FILES | {"NovelEval/corpus.tsv": "9-0\tx\n"})
    with refused("passage 9-0 is of question '9'"):
        noveleval.build(tmp_path, EXPECTED)


def test_the_real_contents(root, tmp_path):
    """Those of the release, read from a copy in our layout and written in the release's form."""
    folder = root.parent / "shared/collections/noveleval"
    if not folder.is_dir():
        pytest.skip(f"{folder.name} is not beside this folder")
    documents = list(iter_documents(folder))
    # The release quotes a text that holds a quote, as spreadsheets do.
    cells = ['"' + d.text.replace('"', '""') + '"' if '"' in d.text else d.text for d in documents]
    lines = {
        "corpus.tsv": [f"{d.doc_id}\t{cell}" for d, cell in zip(documents, cells, strict=True)],
        "queries.tsv": [f"{q.query_id}\t{q.text}" for q in load_queries(folder).values()],
        "qrels.txt": (folder / "qrels.tsv").read_text().splitlines(),
    }
    write(tmp_path, {f"NovelEval/{name}": "\n".join(text) + "\n" for name, text in lines.items()})
    parts = noveleval.build(tmp_path)
    assert [d.text for d in parts.documents] == [d.text for d in documents]
    assert parts.qrels.grades == load_qrels(folder).grades
    assert {len(pairs) for pairs in parts.candidates.rankings.values()} == {20}


# --- files of GitHub -------------------------------------------------------------------


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A server of ``tmp_path / "www"`` in place of GitHub's; returns its address."""
    folder = tmp_path / "www"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(folder))

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{running.server_port}"
        monkeypatch.setattr(github, "RAW", address)
        yield folder
        running.shutdown()


def test_a_repository_of_github_becomes_a_collection(server, tmp_path, monkeypatch):
    monkeypatch.setattr(noveleval, "EXPECTED", EXPECTED)
    write(server / "a/b" / COMMIT)
    source = {"kind": "github", "repository": "a/b", "revision": COMMIT, "builder": "noveleval"}
    source |= {"files": hashes(), "expect": {"judgments": 3}}
    counts = build_from_repository(source, tmp_path / "c/novel")
    assert (counts["documents"], counts["candidates"]) == (3, 3)
    assert load_candidates(tmp_path / "c/novel").rankings["3"] == [("3-0", 1.0)]
    assert [path.name for path in (tmp_path / "c").iterdir()] == ["novel"]


def test_files_come_whole_or_not_at_all(server, tmp_path):
    write(server / "a/b" / COMMIT)
    target = tmp_path / "out/files"
    with refused("is not the file that was pinned", "SHA-256 is"):
        fetch_github("a/b", COMMIT, hashes() | {"NovelEval/qrels.txt": "0" * 64}, target)
    with refused(f"a/b/{COMMIT}/gone.txt: cannot be fetched", "404", "kind: local"):
        fetch_github("a/b", COMMIT, hashes() | {"gone.txt": "0" * 64}, target)
    with refused("would be written outside"):
        fetch_github("a/b", COMMIT, {"../x": "0" * 64}, target)
    with refused("revision 'main' is not a commit"):
        fetch_github("a/b", "main", hashes(), target)
    assert list((tmp_path / "out").iterdir()) == []
