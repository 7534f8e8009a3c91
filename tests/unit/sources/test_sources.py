"""Hub folders, local folders and ir_datasets, without network."""

import json
import threading
from typing import NamedTuple

import pytest

from headrank.collections.collection import (
    iter_documents,
    load_candidates,
    load_exclusions,
    load_qrels,
    load_queries,
    verify_collection,
)
from headrank.collections.local import import_local
from headrank.sources.huggingface import fetch_huggingface
from tests.helpers.expected_errors import refused

COMMIT = "c1899de289a04d12100db370d81485cdf75e47ca"


# --- model folders of the hub ----------------------------------------------------------


@pytest.fixture
def hub(monkeypatch):
    """A hub that writes what it is given; ``hub.files`` and ``hub.error`` set its answer."""
    import huggingface_hub

    class Hub:
        files = ("config.json", "model.safetensors", "tokenizer.json")
        error = None
        calls = ()

        def snapshot_download(self, **options):
            self.calls = (*self.calls, options)
            for name in (*self.files, ".cache/huggingface/x.lock"):
                path = options["local_dir"] / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(name)
            if self.error:
                raise self.error

    hub = Hub()
    monkeypatch.setattr(huggingface_hub, "snapshot_download", hub.snapshot_download)
    return hub


def test_a_model_folder_appears_whole(hub, tmp_path):
    (tmp_path / "model").mkdir()
    fetch_huggingface("Qwen/Qwen3-0.6B", COMMIT, tmp_path / "model")
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == sorted(hub.files)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    (call,) = hub.calls
    assert (call["repo_id"], call["revision"]) == ("Qwen/Qwen3-0.6B", COMMIT)
    assert "*.safetensors" in call["allow_patterns"] and "*.bin" not in call["allow_patterns"]


@pytest.mark.parametrize("revision", ["main", "v1.0", COMMIT[:12], COMMIT.upper()])
def test_a_revision_that_can_move_is_refused(hub, tmp_path, revision):
    with refused(f"revision '{revision}'", "branch or tag can move"):
        fetch_huggingface("Qwen/Qwen3-0.6B", revision, tmp_path / "model")
    assert hub.calls == ()


def test_without_network_both_remedies_are_told_and_the_part_is_kept(hub, tmp_path):
    hub.error = ConnectionError("name resolution")
    with refused("Qwen/Qwen3-0.6B", "ConnectionError", "where there is network", "kind: local"):
        fetch_huggingface("Qwen/Qwen3-0.6B", COMMIT, tmp_path / "model")
    assert not (tmp_path / "model").exists()
    hub.error = None
    fetch_huggingface("Qwen/Qwen3-0.6B", COMMIT, tmp_path / "model")
    assert hub.calls[0]["local_dir"] == hub.calls[1]["local_dir"]


def test_a_repository_the_hub_refuses(hub, tmp_path):
    hub.error = type("GatedRepoError", (OSError,), {})("licence")
    with refused("hub refuses it", "hf auth login"):
        fetch_huggingface("a/b", COMMIT, tmp_path / "model")


def test_a_repository_without_the_files(hub, tmp_path):
    hub.files = ("config.json", "tokenizer.json")
    with refused(r"no file '\*.safetensors' came", "config.json, tokenizer.json"):
        fetch_huggingface("a/b", COMMIT, tmp_path / "model")
    with refused("no file 'x.gguf' came"):
        fetch_huggingface("a/b", COMMIT, tmp_path / "model", files=["x.gguf"])
    assert not (tmp_path / "model").exists()


# --- local folders ---------------------------------------------------------------------


@pytest.fixture
def local(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    documents = [("d1", "one"), ("d2", "two"), ("d3", ""), ("d4", "")]
    (folder / "corpus.jsonl").write_text(
        "".join(json.dumps({"doc_id": name, "text": text}) + "\n" for name, text in documents)
    )
    (folder / "queries.jsonl").write_text(
        '{"query_id": "q1", "text": "a"}\n{"query_id": "q2", "text": "b", "split": "train"}\n'
    )
    (folder / "qrels.tsv").write_text("q1 0 d1 1\nq1 0 d3 2\n")
    (folder / "candidates.run").write_text("q1 Q0 d2 1 1.5 x\nq2 Q0 d1 1 1.5 x\n")
    (folder / "excluded.tsv").write_text("q1 d1\nq2 d2\n")
    return folder


def test_a_local_folder_is_checked_where_it_is(local, tmp_path):
    with refused(f"{local}/corpus.jsonl:3", "empty text", "empty: drop"):
        import_local(local, tmp_path / "c", unjudged="drop")
    with refused(f"{local}/queries.jsonl:2", "query q2", "no judgments", "unjudged: drop"):
        import_local(local, tmp_path / "c", empty="drop")
    assert not (tmp_path / "c").exists()


def test_what_a_local_import_drops_is_counted(local, tmp_path):
    counts = import_local(local, tmp_path / "c", empty="drop", unjudged="drop")
    assert (counts["documents"], counts["queries"], counts["judgments"]) == (2, 1, 2)
    verify_collection(tmp_path / "c")
    card = json.loads((tmp_path / "c/collection.json").read_text())
    assert card["source"]["dropped_documents"] == 2
    assert card["source"]["dropped_queries"] == 1
    assert card["absent"] == ["d3"]
    assert list(load_candidates(tmp_path / "c").rankings) == ["q1"]
    assert load_exclusions(tmp_path / "c") == {"q1": {"d1"}}
    # A saved collection can be a source in turn, with what it is known to lack.
    again = import_local(tmp_path / "c", tmp_path / "again")
    assert again == counts


def test_a_local_source_must_be_there_and_elsewhere(local, tmp_path):
    with refused("nowhere: no such folder"):
        import_local(tmp_path / "nowhere", tmp_path / "c")
    with refused("over itself"):
        import_local(local, local)
    with refused("empty is 'skip'; allowed: error, drop"):
        import_local(local, tmp_path / "c", empty="skip")


# --- ir_datasets -----------------------------------------------------------------------


class TitledDoc(NamedTuple):
    doc_id: str
    title: str
    text: str

    def default_text(self):
        return f"{self.title} {self.text}"


@pytest.fixture
def irds(tmp_path, monkeypatch):
    """Registers a small dataset under a new id and returns the id."""
    ir_datasets = pytest.importorskip("ir_datasets")
    from ir_datasets.formats import TrecQrels, TrecScoredDocs, TsvDocs, TsvQueries
    from ir_datasets.util import LocalDownload, RequestsDownload

    monkeypatch.setenv("IR_DATASETS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("IR_DATASETS_DL_TRIES", "1")
    monkeypatch.setenv("IR_DATASETS_DL_DISABLE_PBAR", "true")
    files = tmp_path / "irds"
    files.mkdir()

    def register(
        docs="d1\tWings\tLift grows.\nd2\t\tDrag slows.\nd3\t\t\nd4\tHeat\tIt flows.\n",
        queries="q1\twhat makes lift\nq2\twhat slows\n",
        qrels="q1 0 d1 2\nq1 0 d3 1\nq2 0 d2 1\nq2 0 d4 -1\n",
        scored="q1 Q0 d2 1 3.5 x\nq1 Q0 d1 2 2.5 x\nq2 Q0 d4 1 1.0 x\n",
        offline=False,
        suffix="",
    ):
        parts = {"docs": docs, "queries": queries, "qrels": qrels, "scored": scored}
        for name, text in parts.items():
            (files / name).write_text(text)
        source = RequestsDownload("http://127.0.0.1:9/x") if offline else None
        dataset = ir_datasets.Dataset(
            TsvDocs(source or LocalDownload(files / "docs"), doc_cls=TitledDoc),
            TsvQueries(LocalDownload(files / "queries")),
            TrecQrels(source or LocalDownload(files / "qrels"), {}),
            TrecScoredDocs(LocalDownload(files / "scored")),
        )
        name = f"headrank-{tmp_path.name}{suffix}"
        ir_datasets.registry.register(name, dataset)
        return name

    return register


def export(*arguments, **options):
    from headrank.collections.ir_datasets import Export, export_ir_datasets

    own = {key: options.pop(key) for key in ("expect", "split") if key in options}
    return export_ir_datasets(*arguments, **own, export=Export(**options))


def test_a_dataset_is_exported_to_our_layout(irds, tmp_path):
    name = irds()
    expect = {"documents": 4, "queries": 2, "judgments": 4, "grades": {-1: 1, 1: 2, 2: 1}}
    counts = export(name, tmp_path / "c", expect)
    assert counts["documents"] == 3
    documents = {document.doc_id: document for document in iter_documents(tmp_path / "c")}
    assert (documents["d1"].title, documents["d1"].text) == ("Wings", "Lift grows.")
    assert (documents["d2"].title, documents["d2"].text) == ("", "Drag slows.")
    assert load_queries(tmp_path / "c", "test")["q2"].text == "what slows"
    assert load_qrels(tmp_path / "c").grades["q2"] == {"d2": 1, "d4": -1}
    assert load_candidates(tmp_path / "c") is None
    card = json.loads((tmp_path / "c/collection.json").read_text())
    assert card["source"]["id"] == name
    assert card["source"]["dropped_documents"] == 1
    assert card["absent"] == ["d3"]
    verify_collection(tmp_path / "c")


def test_only_judged_and_scored_documents(irds, tmp_path):
    docs = "d0\t\tNobody names it.\nd1\tWings\tLift.\nd2\t\tDrag.\nd4\tHeat\tFlows.\n"
    name = irds(docs=docs, qrels="q1 0 d1 1\nq2 0 d2 1\n")
    export(name, tmp_path / "c", {"documents": 3}, documents="judged+scored", candidates=True)
    assert [d.doc_id for d in iter_documents(tmp_path / "c")] == ["d1", "d2", "d4"]
    assert load_candidates(tmp_path / "c").rankings["q1"] == [("d2", 3.5), ("d1", 2.5)]


def test_only_the_documents_of_the_candidates(irds, tmp_path):
    docs = "d0\t\tNobody names it.\nd1\tWings\tLift.\nd2\t\tDrag.\nd4\tHeat\tFlows.\n"
    name = irds(docs=docs, qrels="q1 0 d1 1\nq1 0 d4 2\nq1 0 d9 3\nq2 0 d2 1\n")
    options = {"documents": "candidates", "candidates": True}
    counts = export(name, tmp_path / "c", {"documents": 3, "judgments": 4}, **options)
    assert (counts["documents"], counts["judgments"]) == (3, 4)
    assert [d.doc_id for d in iter_documents(tmp_path / "c")] == ["d1", "d2", "d4"]
    counts = export(name, tmp_path / "top", {"documents": 2}, depth=1, **options)
    assert load_candidates(tmp_path / "top").rankings["q1"] == [("d2", 3.5)]
    assert [d.doc_id for d in iter_documents(tmp_path / "top")] == ["d2", "d4"]
    # The ideal ranking is that of all judgments, in the corpus or not.
    assert load_qrels(tmp_path / "top").grades["q1"] == {"d1": 1, "d4": 2, "d9": 3}
    card = json.loads((tmp_path / "top/collection.json").read_text())
    assert (card["absent"], card["source"]["judged_not_exported"]) == (["d1", "d9"], 2)
    verify_collection(tmp_path / "top")
    with refused("need `candidates: true`"):
        export(name, tmp_path / "c", documents="candidates")
    with refused("need `candidates: true`"):
        export(name, tmp_path / "c", depth=5)


def test_other_counts_than_expected(irds, tmp_path):
    name = irds()
    with refused(name, "queries 2, expected 3", "judgments 4, expected 5"):
        export(name, tmp_path / "c", {"queries": 3, "judgments": 5})
    with refused(name, "documents 4, expected 9"):
        export(name, tmp_path / "c", {"documents": 9})
    assert not (tmp_path / "c").exists()


def test_queries_without_judgments(irds, tmp_path):
    queries = "q1\twhat makes lift\nq2\twhat slows\nq3\tnobody judged\n"
    name = irds(queries=queries)
    with refused("1 of 3 queries have no judgments", "unjudged: drop"):
        export(name, tmp_path / "c")
    assert export(name, tmp_path / "c", unjudged="drop")["queries"] == 2


def test_the_judged_subset_is_named(irds, tmp_path):
    name = irds(queries="q1\ta\nq2\tb\nq3\tc\n")
    irds(suffix="/judged")
    (tmp_path / "irds/queries").write_text("q1\ta\nq2\tb\nq3\tc\n")
    with refused(f"export {name}/judged, or"):
        export(name, tmp_path / "c")


def test_judgments_of_documents_that_are_not_in_the_corpus(irds, tmp_path):
    name = irds(qrels="q1 0 d1 1\nq2 0 d9 1\n")
    with refused("1 judged documents are not in its corpus", "d9", "unknown: keep"):
        export(name, tmp_path / "c")
    export(name, tmp_path / "c", unknown="keep")
    assert load_qrels(tmp_path / "c").grades["q2"] == {"d9": 1}


def test_scored_documents_without_scores(irds, tmp_path):
    name = irds(scored="q1 d1\nq1 d2\nq2 d4\nq2 d1\n")
    with refused("all have the same score", "candidates: false"):
        export(name, tmp_path / "c", candidates=True)


def test_two_grades_for_one_pair(irds, tmp_path):
    name = irds(qrels="q1 0 d1 1\nq1 0 d1 2\nq2 0 d2 1\n")
    with refused("document d1 has grades 1 and 2"):
        export(name, tmp_path / "c")


def test_without_network(irds, tmp_path):
    name = irds(offline=True)
    with refused(name, "ConnectionError", str(tmp_path / "home"), "IR_DATASETS_HOME"):
        export(name, tmp_path / "c")


def test_an_unknown_dataset_names_the_nearest(irds, tmp_path):
    with refused("no dataset 'beir/scifakt/test'", "beir/scifact/test"):
        export("beir/scifakt/test", tmp_path / "c")
    with refused("has no qrels"):
        export("beir/scifact", tmp_path / "c")


def test_one_export_of_an_archive_at_a_time(irds, tmp_path):
    from filelock import FileLock

    name = irds()
    (tmp_path / "home").mkdir(exist_ok=True)
    worker = threading.Thread(target=export, args=(name, tmp_path / "c"))
    with FileLock(tmp_path / "home" / f"headrank-{name}.lock"):
        worker.start()
        worker.join(0.3)
        assert worker.is_alive() and not (tmp_path / "c").exists()
    worker.join(10)
    assert (tmp_path / "c/collection.json").exists()


# --- several datasets of ir_datasets over one corpus -----------------------------------


@pytest.fixture
def years(tmp_path, monkeypatch):
    """Registers datasets ``{suffix: (queries, qrels, scored)}`` over one corpus; returns its id."""
    ir_datasets = pytest.importorskip("ir_datasets")
    from ir_datasets.formats import TrecQrels, TrecScoredDocs, TsvDocs, TsvQueries
    from ir_datasets.util import LocalDownload

    monkeypatch.setenv("IR_DATASETS_HOME", str(tmp_path / "home"))

    def register(datasets, docs="d1\tWings\tLift.\nd2\t\tDrag.\nd3\tHeat\tFlows.\nd4\t\tUnused.\n"):
        corpus = f"headrank-{tmp_path.name}-years"
        (tmp_path / "docs").write_text(docs)
        handler = TsvDocs(LocalDownload(tmp_path / "docs"), doc_cls=TitledDoc)
        ir_datasets.registry.register(corpus, ir_datasets.Dataset(handler))
        for suffix, texts in datasets.items():
            paths = [tmp_path / f"{suffix}-{number}" for number in range(3)]
            for path, text in zip(paths, texts, strict=True):
                path.write_text(text)
            dataset = ir_datasets.Dataset(
                handler,
                TsvQueries(LocalDownload(paths[0])),
                TrecQrels(LocalDownload(paths[1]), {}),
                TrecScoredDocs(LocalDownload(paths[2])),
            )
            ir_datasets.registry.register(f"{corpus}/{suffix}", dataset)
        return corpus

    return register


YEARS = {
    "19": ("q1\twhat makes lift\n", "q1 0 d1 3\n", "q1 Q0 d2 1 2.5 x\nq1 Q0 d1 2 1.5 x\n"),
    "20": ("q7\twhat slows\n", "q7 0 d2 1\nq7 0 d3 0\n", "q7 Q0 d3 1 1.0 x\n"),
}


def test_splits_share_one_corpus(years, tmp_path):
    corpus = years(YEARS)
    splits = {
        "dl19": {"id": f"{corpus}/19", "expect": {"queries": 1, "grades": {3: 1}}},
        "dl20": {"id": f"{corpus}/20", "expect": {"queries": 1, "judgments": 2}},
    }
    counts = export(splits, tmp_path / "c", {"documents": 4}, candidates=True)
    assert (counts["documents"], counts["splits"]) == (4, {"dl19": 1, "dl20": 1})
    assert [query.text for query in load_queries(tmp_path / "c", "dl20").values()] == ["what slows"]
    assert load_qrels(tmp_path / "c").grades == {"q1": {"d1": 3}, "q7": {"d2": 1, "d3": 0}}
    assert load_candidates(tmp_path / "c").rankings["q7"] == [("d3", 1.0)]
    # Without the whole corpus: what any of the splits names.
    export(splits, tmp_path / "named", {"documents": 3}, documents="judged+scored")
    assert [d.doc_id for d in iter_documents(tmp_path / "named")] == ["d1", "d2", "d3"]


def test_splits_that_do_not_fit_together(years, irds, tmp_path):
    corpus, other = years(YEARS), irds()
    with refused(f"{corpus}/20: judgments 2, expected 3"):
        export(
            {"a": {"id": f"{corpus}/20", "expect": {"judgments": 3}}, "b": {"id": f"{corpus}/19"}},
            tmp_path / "c",
        )
    with refused("have different corpora", "a collection for each corpus"):
        export({"a": {"id": f"{corpus}/19"}, "b": {"id": other}}, tmp_path / "c")
    with refused("query id q1 stands in the splits 'a' and 'b'"):
        export({"a": {"id": f"{corpus}/19"}, "b": {"id": f"{corpus}/19"}}, tmp_path / "c")
    with refused("expect.queries stands beside splits", "each split its own"):
        export({"a": {"id": f"{corpus}/19"}}, tmp_path / "c", {"queries": 1})
    assert not (tmp_path / "c").exists()


def test_a_query_that_is_a_document_is_never_its_own_candidate(irds, tmp_path):
    name = irds(queries="d1\tits own document\nq2\twhat slows\n", qrels="d1 0 d2 1\nq2 0 d2 1\n")
    assert "excluded" not in export(name, tmp_path / "kept")
    assert export(name, tmp_path / "c", exclude_query_id=True)["excluded"] == 1
    assert load_exclusions(tmp_path / "c") == {"d1": {"d1"}}
    verify_collection(tmp_path / "c")
