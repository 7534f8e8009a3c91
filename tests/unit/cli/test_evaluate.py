"""Runs by command: headrank bm25 makes them, headrank evaluate measures them."""

import json
from pathlib import Path

from headrank.cli import main
from headrank.data.trec import Run
from tests.helpers import command_line
from tests.helpers.command_line import refused

# pytest finds a fixture by its name in the module that uses it.
collection = command_line.collection


def test_bm25_and_evaluate(tmp_path, capsys, collection):
    index, target = str(tmp_path / "index"), str(tmp_path / "bm25.run")
    arguments = ["bm25", "--collection", str(collection), "--depth", "4", "--quiet"]
    assert main([*arguments, "--index", index, "-o", target]) == 0
    assert main([*arguments, "--index", index]) == 0
    assert capsys.readouterr().out == Path(target).read_text()
    message = refused(capsys, [*arguments, "--index", index, "--k1", "1.2"])
    assert "built with k1=0.9" in message
    qrels = str(collection / "qrels.tsv")
    measures = ["--measures", "nDCG@10", "RR"]
    assert main(["evaluate", target, "--qrels", qrels, *measures]) == 0
    header, *rows = (line.split("\t") for line in capsys.readouterr().out.splitlines())
    assert header == ["run", "measure", "value", "queries"]
    assert [(row[1], row[3]) for row in rows] == [("nDCG@10", "3"), ("RR", "3")]
    assert main(["evaluate", target, "--qrels", qrels, *measures, "--per-query"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1 + 6


def test_bm25_names_the_queries_it_drops(tmp_path, capsys):
    folder = tmp_path / "c"
    folder.mkdir()
    texts = {"1": "der Hund und die Katze", "2": "was ist das", "3": "ein Haus"}
    queries = {"q1": "Hunde", "q2": "the and of", "q3": "HAUS", "q4": "die Katze"}
    for name, records in (("corpus", texts), ("queries", queries)):
        lines = [json.dumps({"_id": key, "text": text}) + "\n" for key, text in records.items()]
        (folder / f"{name}.jsonl").write_text("".join(lines))
    (folder / "qrels.tsv").write_text("".join(f"{name} 0 1 1\n" for name in queries))
    arguments = ["bm25", "--collection", str(folder), "--quiet", "--index", str(tmp_path / "i")]
    target = str(tmp_path / "bm25.run")
    assert main([*arguments, "-o", target]) == 0
    told = capsys.readouterr().err
    missing = [name for name in queries if name not in Run.load(target).rankings]
    assert f"{len(missing)} of 4 queries are not in the run" in told
    assert "(" + ", ".join(missing) + "); 1 of them have no term after analysis" in told
    assert "for other languages than English: --analyzer unicode" in told
    # Another analyser is another index, and its name stands in the card.
    message = refused(capsys, [*arguments, "--analyzer", "unicode"])
    assert "built with --analyzer lucene-english, not unicode" in message
    arguments[-1] = str(tmp_path / "j")
    assert main([*arguments, "--analyzer", "unicode", "-o", target]) == 0
    assert json.loads((tmp_path / "j/index.json").read_text())["analyzer"] == "unicode"
    assert set(Run.load(target).rankings) == {"q3", "q4"}
    assert "of them have no term after analysis by unicode" in (err := capsys.readouterr().err)
    assert "--analyzer" not in err


def test_evaluate_counts_missing_queries(tmp_path, capsys, collection):
    Run({"q0": [("d1", 1.0)]}, "one").save(tmp_path / "one.run")
    arguments = ["evaluate", str(tmp_path / "one.run"), "--qrels", str(collection / "qrels.tsv")]
    assert main([*arguments, "--measures", "RR"]) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines()[1].endswith("RR\t0.3333\t3")
    assert "2 judged queries are missing, counted as 0" in captured.err
    assert main([*arguments, "--measures", "RR", "--only-retrieved"]) == 0
    assert capsys.readouterr().out.splitlines()[1].endswith("RR\t1.0000\t1")
