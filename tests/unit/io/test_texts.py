"""Text of strangers: marks and packings read away, other encodings and two-faced JSON refused."""

import gzip
import io
import json
import lzma
import sys
import zipfile

import pytest

from headrank.align.pairs import Pair, PairSet
from headrank.collections.collection import (
    load_documents,
    load_exclusions,
    load_qrels,
    load_queries,
)
from headrank.data.heads import HeadSet
from headrank.data.trec import Qrels, Run
from headrank.io.files import read_json, read_jsonl, write_jsonl
from headrank.io.texts import MARK, JsonRefused, is_blank, read_text, strict_json, text_lines
from headrank.workflow.provenance.run_metadata import load_metadata
from tests.helpers.expected_errors import refused

RUN = "q1 Q0 d1 1 2.0 x\nq2 Q0 é 1 1.0 x\n"
QRELS = "q1 0 d1 1\nq1 0 d2 0\nq2 0 é 1\n"
HEADS = '{"heads": [{"layer": 1, "head": 2}], "provenance": {}}'
PAIRS = PairSet((Pair("q", "a", "b", 1, 0, 0.5, 0, 1),))


def pairs_text(folder):
    PAIRS.save(folder / "p.csv")
    return (folder / "p.csv").read_text()


READERS = {
    "run": (lambda path: Run.load(path).rankings, RUN),
    "run in trec_eval's order": (lambda path: Run.load(path, "trec_eval").rankings, RUN),
    "qrels": (lambda path: Qrels.load(path).grades, QRELS),
    "BEIR's qrels": (
        lambda path: Qrels.load(path).grades,
        "query-id\tcorpus-id\tscore\nq1\td1\t1\nq2\té\t0\n",
    ),
    "JSON": (read_json, '{"a": "é", "b": [1]}'),
    "JSONL": (lambda path: list(read_jsonl(path)), '{"a": 1}\n\n{"é": 2}\n'),
    "heads": (HeadSet.load, HEADS),
    "pairs": (PairSet.load, None),
    "text": (read_text, "é\n"),
    "metadata": (load_metadata, "headrank:\n  sha256: '0é'\n"),
}


@pytest.fixture(params=READERS)
def reader(request, tmp_path):
    """Return a reader, a file of its kind and what it reads from it."""
    load, text = READERS[request.param]
    data = (text or pairs_text(tmp_path)).encode()
    path = tmp_path / "plain"
    path.write_bytes(data)
    return load, path, data


def test_a_mark_in_front_is_no_part_of_the_text(reader):
    load, path, data = reader
    plain = load(path)
    path.write_bytes(MARK + data)
    assert load(path) == plain


def test_gzip_is_known_by_its_bytes(reader):
    load, path, data = reader
    plain = load(path)
    for text in (data, MARK + data):
        path.write_bytes(gzip.compress(text))
        assert load(path) == plain
    path.write_bytes(gzip.compress(data)[:-9])
    with refused("plain: damaged gzip file"):
        load(path)
    path.write_bytes(gzip.compress(data)[:12])
    with refused("plain: damaged gzip file"):
        load(path)


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        ("utf-16", "UTF-16"),
        ("utf-16-le", "UTF-16 or UTF-32"),
        ("utf-16-be", "UTF-16 or UTF-32"),
        ("utf-32", "UTF-32"),
        ("utf-32-be", "UTF-16 or UTF-32"),
    ],
)
def test_other_encodings_are_refused_by_name(reader, encoding, name):
    load, path, data = reader
    path.write_bytes(data.decode().encode(encoding))
    with refused(f"plain: not UTF-8 but {name}; convert the file to UTF-8"):
        load(path)


def test_other_packings_are_refused_by_name(reader, tmp_path):
    load, path, data = reader
    path.write_bytes(lzma.compress(data))
    with refused("plain: packed by xz; unpack it, or pack it by gzip"):
        load(path)
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("a", data)
    with refused("plain: packed by zip"):
        load(path)


def test_a_folder_is_no_file(reader, tmp_path):
    load, *_ = reader
    with refused(f"{tmp_path}: this is a folder; give the path of a file"):
        load(tmp_path)


def test_the_home_folder_is_expanded(reader, tmp_path, monkeypatch):
    load, path, _ = reader
    plain = load(path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load("~/plain") == plain


def test_marked_files_that_were_joined(tmp_path):
    (tmp_path / "a").write_bytes(MARK + b"q1 0 d1 1\n" + MARK + b"q1 0 d2 1\n")
    assert Qrels.load(tmp_path / "a").grades == {"q1": {"d1": 1, "d2": 1}}
    (tmp_path / "b").write_bytes(b'{"a": 1}\n' + MARK + b'{"a": 2}\n')
    assert list(read_jsonl(tmp_path / "b")) == [(1, {"a": 1}), (2, {"a": 2})]


@pytest.mark.parametrize("kind", ["run", "qrels"])
def test_an_id_that_only_looks_like_another_is_named(tmp_path, kind):
    line = "q\ufeff1 Q0 d1 1 2.0 x\n" if kind == "run" else "q1 0 d\u200b1 1\n"
    (tmp_path / "a").write_text((RUN if kind == "run" else QRELS).splitlines()[0] + "\n" + line)
    with refused(r"a:2: id '[qd]\\u(feff|200b)1' holds a control or invisible character"):
        (Run if kind == "run" else Qrels).load(tmp_path / "a")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_end_as_on_any_system(tmp_path, end):
    (tmp_path / "a").write_bytes(end.join(["a", "", "b\u2028\x85c", "d"]).encode())
    lines = [(number, line.rstrip("\r\n")) for number, line in text_lines(tmp_path / "a")]
    assert lines == [(1, "a"), (2, ""), (3, "b\u2028\x85c"), (4, "d")]


def test_a_line_that_is_not_utf8_is_told_by_number(tmp_path):
    (tmp_path / "a").write_bytes(b"one\ntwo\ncaf\xe9\n")
    with refused("a:3: not UTF-8"):
        list(text_lines(tmp_path / "a"))
    with refused("a:3: not UTF-8"):
        read_text(tmp_path / "a")


# --- JSON ------------------------------------------------------------------------------

TWICE = {
    '{"a": 1, "a": 2}': 1,
    '{"b": {"a": 1},\n "a": 2,\n "c": [\n  {"a": 3,\n   "a": 4}]}': 5,
    '[{"a": 1}, {"a": 2},\n{"\\u0061": 3,\n"a": 3}]': 2,
}


def test_a_key_given_twice_among_many_is_found_without_comparing_all_with_all():
    """A million comparisons of a million would hold a server for days."""
    many = ", ".join(f'"k{number}": 0' for number in range(300_000))
    with pytest.raises(JsonRefused, match="the key 'k7' is given twice"):
        strict_json(f'{{{many}, "k7": 1, "k9": 1}}')


@pytest.mark.parametrize("text", TWICE)
def test_a_key_given_twice_is_named_with_its_line(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with refused(f"a.json:{TWICE[text]}: the key 'a' is given twice; keep one"):
        read_json(tmp_path / "a.json")
    (tmp_path / "a.jsonl").write_text("{}\n" + json.dumps({"x": 1}) + "\n" + '{"a": 1, "a": 1}\n')
    with refused("a.jsonl:3: the key 'a' is given twice; keep one"):
        list(read_jsonl(tmp_path / "a.jsonl"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 100_000, "nested too deeply"),
        (f'{{"a": {"9" * 5000}}}', "a number of 5000 digits"),
        ('{"a": NaN}', "NaN is no JSON value"),
        ('{"a": -Infinity}', "-Infinity is no JSON value"),
    ],
)
def test_json_that_python_alone_would_take_or_choke_on(tmp_path, text, message):
    (tmp_path / "a").write_text(text)
    with refused(rf"a: not valid JSON \({message}\)"):
        read_json(tmp_path / "a")
    with refused(rf"a:1: not a line of JSON in UTF-8 \({message}\)"):
        list(read_jsonl(tmp_path / "a"))


@pytest.mark.parametrize(
    "text", ['{"a": "x\\ud800"}', '{"\\uDC00": 1}', '{"a": ["\\udc00\\ud800"]}']
)
def test_half_a_surrogate_pair_is_no_text(tmp_path, text):
    (tmp_path / "a").write_text("\n" + text)
    with refused("a:2: holds half of a surrogate pair"):
        read_json(tmp_path / "a")
    with refused("a:2: holds half of a surrogate pair"):
        list(read_jsonl(tmp_path / "a"))


def test_whole_pairs_and_spelt_escapes_are_text():
    assert strict_json('["\\ud83d\\ude00", "\\\\ud800"]') == ["\U0001f600", "\\ud800"]


def test_what_utf8_cannot_hold_is_not_written(tmp_path):
    with refused("a.jsonl: record 2 .* half of a surrogate pair at character"):
        write_jsonl(tmp_path / "a.jsonl", [{"a": "b"}, {"a": "\ud800"}])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("provenance", ["text", 3, [], [1], {"prompt": 3}, {"model_digest": 1}])
def test_a_provenance_of_another_shape(tmp_path, provenance):
    path = tmp_path / "heads.json"
    path.write_text(json.dumps({"heads": [{"layer": 0, "head": 0}], "provenance": provenance}))
    with refused("heads.json: 'provenance", "expected"):
        HeadSet.load(path)
    path.write_text(json.dumps({"heads": [{"layer": 0, "head": 0}], "provenance": None}))
    assert HeadSet.load(path).provenance == {}


# --- texts without a character that can be seen ----------------------------------------

BLANK = ["", " \t\n", "\u200b", "\ufeff", "\u2060\u200b ", "\u00ad", "\x00\x1f", "\u3164", "\ufe0f"]


@pytest.mark.parametrize("text", BLANK)
def test_what_cannot_be_seen_is_blank(text):
    assert is_blank(text)


@pytest.mark.parametrize(
    "text", ["a", "\u200bа", "\u00ad-", "漢", "\U0001f600", "\ue000", "٣", "-"]
)
def test_what_can_be_seen_is_not_blank(text):
    assert not is_blank(text)


def folder_of_texts(folder, **changes):
    """Write a collection whose files begin with a mark, packed by gzip."""
    files = {
        "corpus.jsonl": '{"_id": 1, "title": "", "text": "one"}\n{"_id": "é", "text": "two"}\n',
        "queries.jsonl": '{"_id": 7, "text": "why"}\n',
        "qrels.tsv": "7 0 é 1\n",
        "excluded.tsv": "7 1\n",
    } | changes
    for name, text in files.items():
        (folder / f"{name}.gz").write_bytes(gzip.compress(MARK + text.encode()))
    return folder


def test_a_collection_of_packed_and_marked_files(tmp_path):
    folder = folder_of_texts(tmp_path)
    assert {name: d.text for name, d in load_documents(folder, ["1", "é"]).items()} == {
        "1": "one",
        "é": "two",
    }
    assert list(load_queries(folder)) == ["7"]
    assert load_qrels(folder).grades == {"7": {"é": 1}}
    assert load_exclusions(folder) == {"7": {"1"}}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"_id": "a", "text": "\\u200b\\u2060"}', "document a has an empty text"),
        ('{"_id": "a", "text": "x\\ud800"}', "holds half of a surrogate pair"),
        ('{"_id": "\\udc00", "text": "x"}', "holds half of a surrogate pair"),
        ('{"_id": "a", "text": "x", "text": "y"}', "the key 'text' is given twice"),
        ('{"_id": true, "text": "x"}', "the field '_id' is bool True"),
        ("[" * 100_000, "nested too deeply"),
        (f'{{"_id": {"9" * 5000}, "text": "x"}}', "a number of 5000 digits"),
    ],
)
def test_hostile_lines_of_a_corpus(tmp_path, line, message):
    text = '{"_id": "b", "text": "fine"}\n\n' + line + "\n"
    folder = folder_of_texts(tmp_path, **{"corpus.jsonl": text})
    with refused(rf"corpus\.jsonl\.gz:3: .*{message}"):
        load_documents(folder, ["absent"])


def test_standard_input_is_read_as_a_file_is(monkeypatch):
    data = gzip.compress(MARK + b'{"a": 1}\n')
    stdin = io.TextIOWrapper(io.BytesIO(data))
    monkeypatch.setattr(sys, "stdin", stdin)
    assert list(read_jsonl("-", stdin=True)) == [(1, {"a": 1})]
    assert not stdin.closed
