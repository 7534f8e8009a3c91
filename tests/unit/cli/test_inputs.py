"""Input as people have it: their keys, other spellings, and tables."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from headrank.cli import main
from headrank.cli.inputs import file_lists
from headrank.errors import HeadRankError
from headrank.ranker.ranker import HeadRanker
from tests.helpers import command_line
from tests.helpers.command_line import labelled, record, refused, write

# pytest finds a fixture by its name in the module that uses it.
heads = command_line.heads
model = command_line.model


def rows_of(entries) -> list[dict]:
    """Return the rows of a table that holds the same lists."""
    keys = ("query_id", "query")
    return [{k: one[k] for k in keys} | document for one in entries for document in one["docs"]]


def save_csv(path: Path, rows: list[dict], separator: str = ",") -> str:
    text_of = {}
    for row in rows:
        text_of |= dict.fromkeys(row)
    with open(path, "w", newline="", encoding="utf-8") as file:
        plain = {"quoting": csv.QUOTE_NONE, "quotechar": None} if separator == "\t" else {}
        writer = csv.DictWriter(file, list(text_of), delimiter=separator, **plain)
        writer.writeheader()
        writer.writerows(rows)
    return str(path)


def ranked(capsys, path, heads, model, *more) -> list[dict]:
    arguments = ["rerank", str(path), "--model", model, "--heads", heads, "--quiet", *more]
    assert main(arguments) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_keys_of_ones_own_come_out_as_they_went_in(tmp_path, capsys, heads, model):
    entry = record("q0", source={"page": [1, 2]}, score="of the list")
    for number, document in enumerate(entry["docs"]):
        document |= {"url": f"https://e.org/{number}", "score": 9.5 - number, "kept": None}
    (line,) = ranked(capsys, write(tmp_path / "own.jsonl", [entry]), heads, model)
    (plain,) = ranked(capsys, write(tmp_path / "plain.jsonl", [record("q0")]), heads, model)
    assert line["source"] == {"page": [1, 2]}
    assert line["score"] == "of the list"  # a list has no score of ours
    assert [(d["id"], d["score"]) for d in line["docs"]] == [
        (d["id"], d["score"]) for d in plain["docs"]
    ]
    by_id = {document["id"]: document for document in entry["docs"]}
    for document in line["docs"]:
        own = by_id[document["id"]]
        assert document["input_score"] == own["score"]
        assert document["url"] == own["url"] and document["kept"] is None
        assert "text" not in document


def test_a_trec_run_and_training_say_what_they_leave_out(tmp_path, capsys, heads, model):
    path = write(tmp_path / "own.jsonl", [record("q0", url="u")])
    assert main(["rerank", path, "--model", model, "--heads", heads, "--format", "trec"]) == 0
    assert "a TREC run has no place for url" in capsys.readouterr().err
    entries = [labelled(n) | {"note": "x"} for n in range(4)]
    entries[0]["docs"][0]["url"] = "u"
    path = write(tmp_path / "labelled.jsonl", entries)
    assert main(["profile", path, "--model", model, "-o", str(tmp_path / "h.json")]) == 0
    assert "keys that are not read: note, url" in capsys.readouterr().err


def test_a_number_that_cannot_be_written_again_is_refused_early(tmp_path, capsys, heads, model):
    (tmp_path / "a.jsonl").write_text('{"query": "x", "docs": [{"text": "a", "s": 1e999}]}\n')
    arguments = ["rerank", str(tmp_path / "a.jsonl"), "--model", model, "--heads", heads]
    assert "a.jsonl:1: document 1: 's' holds a number that is not finite" in refused(
        capsys, arguments
    )
    docs = [{"text": "a", "score": 1, "input_score": 2}]
    path = write(tmp_path / "b.jsonl", [{"query": "x", "docs": docs}])
    found = refused(capsys, ["rerank", path, "--model", model, "--heads", heads])
    assert "b.jsonl:1: document 1: 'score' and 'input_score' are both given" in found


def test_other_spellings_are_the_same_list(tmp_path, capsys, heads, model):
    expected = ranked(capsys, write(tmp_path / "a.jsonl", [record("q0")]), heads, model)
    for identity in ("_id", "doc_id", "docno"):
        docs = [{identity: d["id"], "page_content": d["text"]} for d in record("q0")["docs"]]
        entry = {"qid": "q0", "query": record("q0")["query"], "documents": docs}
        found = ranked(capsys, write(tmp_path / "b.jsonl", [entry]), heads, model)
        assert found == expected


@pytest.mark.parametrize("form", ["csv", "csv.gz", "tsv", "parquet"])
def test_tables_give_the_rankings_of_jsonl(tmp_path, capsys, heads, model, form):
    entries = [record(f"q{n}") for n in range(2)]
    for entry in entries:  # TSV has no line breaks inside a cell
        for document in entry["docs"]:
            document["text"] = document["text"].replace("\n", " ") + ' says "we"'
    expected = ranked(capsys, write(tmp_path / "lists.jsonl", entries), heads, model)
    # Rows of two queries may stand between one another.
    rows = [row for pair in zip(*(rows_of([e]) for e in entries), strict=True) for row in pair]
    rows = [row | {"url": f"u{row['id']}"} for row in rows]
    path = tmp_path / f"lists.{form}"
    if form == "parquet":
        parquet.write_table(pa.Table.from_pylist(rows), path)
    else:
        save_csv(tmp_path / "plain", rows, "\t" if form == "tsv" else ",")
        data = (tmp_path / "plain").read_bytes()
        path.write_bytes(gzip.compress(data) if form.endswith("gz") else data)
    found = ranked(capsys, path, heads, model)
    for line in found:
        for document in line["docs"]:
            assert document.pop("url") == f"u{document['id']}"
    assert found == expected


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_heads_are_profiled_and_aligned_on_a_table(tmp_path, capsys, model, form):
    """Query, text and grade are enough: the query tells the list."""
    entries = [labelled(n) for n in range(8)]
    for entry in entries:
        del entry["query_id"]
        for document in entry["docs"]:
            del document["id"]
    rows = [{"query": e["query"], **document} for e in entries for document in e["docs"]]
    path = str(tmp_path / f"labelled.{form}")
    if form == "parquet":
        parquet.write_table(pa.Table.from_pylist(rows), path)
    else:
        save_csv(Path(path), rows)
    plain = write(tmp_path / "labelled.jsonl", entries)
    heads = [str(tmp_path / f"{name}.json") for name in ("table", "lists")]
    for source, target in zip((path, plain), heads, strict=True):
        assert main(["profile", source, "--model", model, "-o", target, "--quiet"]) == 0
    assert Path(heads[0]).read_bytes() == Path(heads[1]).read_bytes()
    for source, held in ((path, plain), (plain, path)):
        arguments = ["align", source, "--model", model, "--heads", heads[0], "--epochs", "1"]
        arguments += ["--document-tokens", "64"]
        target = ["-o", str(tmp_path / "adapter"), "--quiet"]
        # The same queries: the check of both files refuses them by name.
        found = refused(capsys, [*arguments, "--validation", held, *target])
        assert "also stands among the training queries" in found
    assert main([*arguments[:1], path, *arguments[2:], *target]) == 0


@pytest.mark.parametrize("form", ["csv", "tsv", "parquet", "jsonl"])
def test_grades_that_pandas_made_floats(tmp_path, form):
    """A column with one missing value is one of floats, and its whole numbers end in .0."""
    rows = [{"query": "x", "text": "a", "grade": 2}, {"query": "y", "text": "c", "grade": 0}]
    frame = pd.DataFrame([rows[0], {"query": "x", "text": "b"}, rows[1]])
    path = tmp_path / f"a.{form}"
    if form == "parquet":
        frame.to_parquet(path)
    elif form == "jsonl":
        lines = [
            {"query": query, "docs": group.drop(columns="query").to_dict("records")}
            for query, group in frame.fillna({"grade": 0.0}).groupby("query")
        ]
        write(path, lines)
    else:
        frame.to_csv(path, index=False, sep="\t" if form == "tsv" else ",")
    assert "2.0" in (path.read_text() if form != "parquet" else "2.0")
    first, second = file_lists(str(path), labelled=False)
    assert first.grades == ({"0": 2, "1": 0} if form == "jsonl" else {"0": 2})
    assert second.grades == {"0": 0}
    assert all(type(one) is int for made in (first, second) for one in made.grades.values())


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_a_title_alone_is_a_text_as_in_python(tmp_path, capsys, heads, model, form):
    docs = [{"title": "Terms"}, {"title": "Cover", "text": None}, {"title": " ", "text": "a loan"}]
    rows = [{"query": "what pays"} | one for one in docs]
    path = tmp_path / f"a.{form}"
    if form == "jsonl":
        write(path, [{"query": "what pays", "docs": docs}])
    elif form == "parquet":
        parquet.write_table(pa.Table.from_pylist([{"text": None} | one for one in rows]), path)
    else:
        save_csv(path, rows)
    (line,) = ranked(capsys, path, heads, model)
    ranking = HeadRanker.from_pretrained(model, heads).rerank("what pays", docs)
    assert [(d["id"], d["score"]) for d in line["docs"]] == [(p.index, p.score) for p in ranking]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "query,txt\nq,t\n", "a.csv:2: key 'txt' is unknown (did you mean 'text'?)"),
        ("a.csv", "query,body\nq,t\n", "a.csv:2: 'text' is missing; a table needs the columns"),
        ("a.csv", "q\nt\n", "a.csv:2: 'query' is missing"),
        ("a.csv", "query,title,text\nq,,\n", "a.csv:2: 'text' is missing; a table needs the"),
        ("a.csv", "query,text,grade\nq,a,1.50\n", "a.csv:2: grade '1.50' is not a whole number"),
        ("a.csv", "query,text,grade\nq,a,inf\n", "a.csv:2: grade 'inf' is not a whole number"),
        ("a.csv", "query,text\nq,a,b\n", "a.csv:2: 3 cells, but the first line names 2 columns"),
        ("a.csv", "query,text,text\nq,a,b\n", "a.csv:1: column 'text' has no name or stands twi"),
        ("a.csv", 'query,text\nq,"a\n', "a.csv:2: not CSV"),
        ("a.csv", "query,text,grade\nq,a,1.5\n", "a.csv:2: grade '1.5' is not a whole number"),
        ("a.csv", "query,text,grade\nq,a,1\nq,b,\n", "a.csv:3: 'grade' is missing"),
        ("a.csv", "query_id,query,text\n1,x,a\n1,y,b\n", "a.csv:3: query_id '1' has another query"),
        ("a.csv", "", "a.csv: there is no list in it"),
        ("a.tsv", "query\ttext\tgrade\nq\ta\tb\t1\n", "a.tsv:2: 4 cells"),
        ("a.tsv", 'query\ttext\nq\t"says ""we"""\n', "a.tsv:2: a cell stands between quotation"),
        ("a.parquet", "no", "a.parquet: cannot be read as Parquet"),
        ("a.jsonl", '{"query": "x", "documents": "a"}', "a.jsonl:1: 'docs' is not a list"),
    ],
)
def test_broken_tables_are_refused_by_row(tmp_path, capsys, model, name, content, message):
    (tmp_path / name).write_text(content)
    arguments = ["profile", str(tmp_path / name), "--model", model, "-o", str(tmp_path / "h.json")]
    assert message in refused(capsys, arguments)


def test_tsv_holds_quotation_marks_as_they_are(tmp_path):
    texts = ['"We" said: "no"', '"alone"', '""', 'the 5" disk', '"']
    # A pattern that tries every split of a run of marks would not end.
    texts.append('"' + 100_000 * '"' + "x")
    rows = "".join(f"x\t{text}\n" for text in texts)
    (tmp_path / "a.tsv").write_text(f"query\ttext\n{rows}")
    (one,) = file_lists(str(tmp_path / "a.tsv"), labelled=False)
    assert [passage.text for passage in one.candidates.passages] == texts


def test_a_parquet_file_that_is_missing_or_has_another_list(tmp_path):
    with pytest.raises(HeadRankError, match="no such file"):
        list(file_lists(str(tmp_path / "none.parquet"), labelled=False))
    rows = [{"query": "x", "text": "a", "day": None, "n": float("nan")}]
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    (one,) = file_lists(str(tmp_path / "a.parquet"), labelled=False)
    assert one.unread == set() and one.candidates.query == "x"


def test_a_long_cell_is_read_whole(tmp_path):
    text = "policy " * 40_000
    save_csv(tmp_path / "long.csv", [{"query": "x", "text": text}])
    (one,) = file_lists(str(tmp_path / "long.csv"), labelled=False)
    assert one.candidates.passages[0].text == text
