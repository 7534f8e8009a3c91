"""BM25 against hand computation, Anserini's rankings, and the laws of an exact search."""

import hashlib
import json
import math
import os
import random
import re
import tarfile
import tracemalloc
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrank.data.trec import Qrels
from headrank.errors import HeadRankError
from headrank.evaluation.measures import evaluate
from headrank.first_stage.bm25 import Bm25Index
from headrank.first_stage.lucene_scores import LuceneScores, Tokens, stored_length

CACM = Path(__file__).resolve().parents[4] / "shared" / "collections" / "cacm"
CACM_SOURCE = Path(os.environ.get("HEADRANK_CACM_SOURCE", "/nonexistent"))
MEASURES = ["AP", "P@30", "nDCG@10", "R@100"]

# Lengths in terms: d1 3, d2 3, d3 3, d4 1, d5 0 (stopwords only), d6 45, d7 3.
SMALL = [
    ("d7", "Mat, sat: cats"),
    ("d1", "The cat sat on the mat"),
    ("d2", "cat cat dog"),
    ("d3", "dogs and dogs and dogs"),
    ("d4", "bird"),
    ("d5", "the of and"),
    ("d6", "cat" + " filler" * 44),
]


def build(documents, **options):
    return Bm25Index.build(documents, progress=False, **options)


def search(index, text, depth=10, **options):
    return index.search({"q": text}, depth, progress=False, **options).rankings["q"]


def test_scores_are_those_computed_by_hand():
    # N = 6 (d5 has no term), mean length (3+3+3+1+45+3)/6 = 58/6 = 9.6667.
    # idf: cat in 4 of 6: ln(1 + 2.5/4.5) = 0.441833; dog in 2: ln(1 + 4.5/2.5) = 1.029619.
    # Norm .9 * (.6 + .4 * length/9.6667): 3 -> .651724; d6: 45 is stored as 44 -> 2.178621.
    # cat: tf 1 in d1, d7: .441833/1.651724 = .267498; tf 2 in d2: .441833*2/2.651724 = .333242;
    # tf 1 in d6: .441833/3.178621 = .139002. dog: tf 1 in d2: 1.029619/1.651724 = .623360;
    # tf 3 in d3: 1.029619*3/3.651724 = .845863.
    index = build(SMALL)
    assert index.mean_length == pytest.approx(58 / 6)
    for query, expected in {
        "cat": [("d2", 0.333242), ("d1", 0.267498), ("d7", 0.267498), ("d6", 0.139002)],
        "Dogs": [("d3", 0.845863), ("d2", 0.623360)],
        "the dog's cat": [
            ("d2", 0.956602),
            ("d3", 0.845863),
            ("d1", 0.267498),
            ("d7", 0.267498),
            ("d6", 0.139002),
        ],
        "cat cats cat": [("d2", 0.999727), ("d1", 0.802495), ("d7", 0.802495), ("d6", 0.417005)],
    }.items():
        found = search(index, query)
        assert [name for name, _ in found] == [name for name, _ in expected]
        assert [s for _, s in found] == pytest.approx([s for _, s in expected], abs=2e-6)


def test_k1_and_b_are_used():
    # b = 0, k1 = 2: cat in d6 scores .441833 * 1/3 whatever its length.
    assert dict(search(build(SMALL, k1=2.0, b=0.0), "cat"))["d6"] == pytest.approx(
        math.log(1 + 2.5 / 4.5) / 3, abs=1e-6
    )
    # k1 = 0: presence alone counts.
    scores = [score for _, score in search(build(SMALL, k1=0.0), "cat")]
    assert scores == pytest.approx([math.log(1 + 2.5 / 4.5)] * 4, abs=1e-6)


def test_lengths_are_stored_as_lucenes_byte():
    lengths = np.array([0, 1, 23, 24, 39, 40, 41, 43, 57, 63, 100, 500, 1000, 2**31 - 1])
    expected = [0, 1, 23, 24, 39, 40, 40, 42, 56, 60, 96, 472, 984, 24 + (15 << 27)]
    assert stored_length(lengths).tolist() == expected


def test_unknown_terms_and_no_terms_give_an_empty_ranking():
    run = build(SMALL).search({"q1": "zebra", "q2": "of the", "q3": ""}, 5, progress=False)
    assert run.rankings == {"q1": [], "q2": [], "q3": []}
    assert search(build(SMALL), "zebra cat") == search(build(SMALL), "cat")


def test_excluded_documents_make_room_for_the_next():
    index = build(SMALL)
    queries = {"a": "cat", "b": "cat"}
    run = index.search(queries, 2, exclude={"a": {"d2", "d9", ""}}, progress=False)
    assert [name for name, _ in run.rankings["a"]] == ["d1", "d7"]
    assert [name for name, _ in run.rankings["b"]] == ["d2", "d1"]
    assert search(index, "cat", exclude={"q": {"d1", "d2", "d6", "d7"}}) == []


@pytest.mark.parametrize("others", [0, 400])  # a frequent term and a rare one
def test_depth_cuts_ties_by_docid(others):
    documents = [(str(number), "same words") for number in range(40)]
    documents += [(str(number), "something else") for number in range(40, 40 + others)]
    random.Random(3).shuffle(documents)
    expected = sorted(str(number) for number in range(40))  # "10" before "2"
    for depth in (1, 7, 39, 40, 500):
        found = [name for name, _ in search(build(documents), "words", depth)]
        assert found == expected[:depth]


@pytest.mark.parametrize("others", [0, 400])
def test_ties_between_terms_are_cut_by_docid(others):
    # The first term's documents come last, so the better of a tie is met after the worse.
    documents = [(f"a{number}", "yak") for number in range(10)]
    documents += [(f"b{number}", "elk") for number in range(10)]
    documents += [(f"c{number}", "something") for number in range(others)]
    for query in ("elk yak", "yak elk"):
        found = [name for name, _ in search(build(documents), query, 12)]
        assert found == [f"a{number}" for number in range(10)] + ["b0", "b1"]


WORDS = st.sampled_from(["ant", "bee", "cow", "dog", "elk", "fox"])
TEXTS = st.lists(WORDS, max_size=8).map(" ".join)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(TEXTS, min_size=1, max_size=25),
    st.sampled_from([0, 120]),
    TEXTS,
    st.integers(1, 30),
    st.randoms(),
)
def test_the_search_is_exact_and_blind_to_order(texts, others, query, depth, rng):
    texts = texts + ["yak"] * others
    documents = [(f"d{number}", text) for number, text in enumerate(texts)]
    if not any(texts):
        with pytest.raises(HeadRankError, match="holds a word"):
            build(documents)
        return
    found = search(build(documents), query, depth)
    assert found == search(build(documents), query, 1000)[:depth]
    assert found == sorted(found, key=lambda pair: (-pair[1], pair[0]))

    shuffled, words = documents[:], query.split()
    rng.shuffle(shuffled)
    rng.shuffle(words)
    assert search(build(shuffled), " ".join(words), depth) == found

    # The formula in plain Python.
    terms = {name: text.split() for name, text in documents if text}
    mean_length = sum(map(len, terms.values())) / len(terms)
    expected = {}
    for name, words in terms.items():
        score = 0.0
        for word in query.split():
            df = sum(word in other for other in terms.values())
            tf = words.count(word)
            idf = math.log(1 + (len(terms) - df + 0.5) / (df + 0.5))
            score += idf * tf / (tf + 0.9 * (0.6 + 0.4 * len(words) / mean_length))
        if score:
            expected[name] = score
    assert len(found) == min(depth, len(expected))
    for name, score in found:
        assert score == pytest.approx(expected[name], rel=1e-5)


def test_a_saved_index_answers_alike(tmp_path):
    index = build(SMALL, k1=1.2, b=0.75, corpus="abc")
    index.save(tmp_path / "index")
    index.save(tmp_path / "index")  # over the old one
    loaded = Bm25Index.load(tmp_path / "index")
    assert search(loaded, "the dog's cat") == search(index, "the dog's cat")
    assert (loaded.documents, loaded.mean_length, loaded.corpus) == (
        index.documents,
        index.mean_length,
        "abc",
    )
    meta = json.loads((tmp_path / "index" / "index.json").read_text())
    assert (meta["k1"], meta["b"], meta["documents"], meta["terms"]) == (1.2, 0.75, 7, 6)
    assert [path.name for path in tmp_path.iterdir()] == ["index"]


def test_the_same_collection_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        build(SMALL).save(tmp_path / name)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_a_damaged_index_is_refused_with_the_remedy(tmp_path):
    folder = tmp_path / "index"
    with pytest.raises(HeadRankError, match=r"no BM25 index here .*; build it"):
        Bm25Index.load(folder)
    build(SMALL).save(folder)
    for path in sorted(folder.glob("[!.]*")):
        whole = path.read_bytes()
        path.write_bytes(whole[:-3])
        with pytest.raises(HeadRankError, match=re.escape(str(path)) + ".*(again|anew)"):
            Bm25Index.load(folder)
        path.unlink()
        with pytest.raises(HeadRankError, match=r"missing.*build (it|the index again)"):
            Bm25Index.load(folder)
        path.write_bytes(whole)
    meta = json.loads((folder / "index.json").read_text())
    (folder / "index.json").write_text(json.dumps({**meta, "format": "headrank-bm25/0"}))
    with pytest.raises(HeadRankError, match=r"format is 'headrank-bm25/0'.*build the index again"):
        Bm25Index.load(folder)


@pytest.mark.parametrize(
    ("documents", "options", "message"),
    [
        ([("a", "x"), ("b", "y"), ("a", "z")], {}, r"'a' appears twice \(documents 1 and 3\)"),
        ([], {}, "none of the 0 documents"),
        ([("a", "the"), ("b", "")], {}, "none of the 2 documents"),
        (SMALL, {"k1": -1}, "k1=-1"),
        (SMALL, {"k1": float("inf")}, "k1=inf"),
        (SMALL, {"b": 1.5}, "b=1.5"),
        (SMALL, {"b": math.nan}, "b=nan"),
    ],
)
def test_bad_input_is_refused(documents, options, message):
    with pytest.raises(HeadRankError, match=message):
        build(documents, **options)


def test_depth_must_be_positive():
    with pytest.raises(HeadRankError, match="depth is 0"):
        search(build(SMALL), "cat", 0)


def read_jsonl(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def effectiveness(run, qrels):
    values = evaluate(run, qrels, MEASURES).groupby("measure", sort=False)["value"]
    assert set(values.size()) == {52}
    return values.mean().round(4).to_dict()


@pytest.mark.skipif(not CACM.is_dir(), reason=f"the CACM collection is not at {CACM}")
def test_cacm_is_ranked_as_by_anserini():
    documents = read_jsonl(CACM / "corpus.jsonl")
    queries = {query["query_id"]: query["text"] for query in read_jsonl(CACM / "queries.jsonl")}
    index = build((d["doc_id"], f"{d['title']}\n{d['text']}") for d in documents)
    run = index.search(queries, 1000, progress=False)
    # From Anserini 0.22.1 (Lucene 9.5.0) on the same contents and queries, -hits 1000 -bm25.k1 .9
    # -bm25.b .4: the digest of its 56,191 lines "query document", and its effectiveness.
    lines = "".join(
        f"{query} {name}\n" for query, ranking in run.rankings.items() for name, _ in ranking
    )
    assert lines.count("\n") == 56191
    assert (
        hashlib.sha256(lines.encode()).hexdigest()
        == "d58623330053429d0da72f8ae6c1ddb0d5169f6385ec10723b29971348d5da72"
    )
    assert effectiveness(run, Qrels.load(CACM / "qrels.tsv")) == {
        "AP": 0.3251,
        "P@30": 0.1936,
        "nDCG@10": 0.4710,
        "R@100": 0.6405,
    }


class Words(HTMLParser):
    """The text of an HTML page."""

    def __init__(self, page):
        super().__init__()
        self.parts = []
        self.feed(page)
        self.close()

    def handle_data(self, data):
        self.parts.append(data)


@pytest.mark.skipif(
    not CACM_SOURCE.is_dir(),
    reason="HEADRANK_CACM_SOURCE names no folder with Anserini's cacm.tar.gz, topics.cacm.txt "
    "and qrels.cacm.txt (github.com/castorini/anserini and anserini-tools)",
)
def test_anserinis_published_cacm_numbers():
    with tarfile.open(CACM_SOURCE / "cacm.tar.gz") as archive:
        pages = {
            Path(member.name).stem: archive.extractfile(member).read().decode()
            for member in archive
            if member.isfile()
        }
    topics = re.findall(
        r"<DOCNO>\s*(\d+)\s*</DOCNO>\n(.*?)</DOC>",
        (CACM_SOURCE / "topics.cacm.txt").read_text(),
        re.DOTALL,
    )
    index = build((name, "".join(Words(page).parts)) for name, page in pages.items())
    run = index.search(dict(topics), 1000, progress=False)
    # Some published qrels name documents without the leading zero (CACM-46): they stay unfound.
    assert effectiveness(run, Qrels.load(CACM_SOURCE / "qrels.cacm.txt")) == {
        "AP": 0.3123,
        "P@30": 0.1942,
        "nDCG@10": 0.4543,
        "R@100": 0.6436,
    }


def scored(documents, length, terms):
    """Return the postings of made-up documents, and the peak bytes a token that they took."""
    generator = np.random.default_rng(5)
    tokens = Tokens(
        generator.integers(0, terms, documents * length, dtype=np.int32),
        np.repeat(generator.permutation(documents).astype(np.int32), length),
        np.full(documents, length, np.int32),
    )
    scorer = LuceneScores(k1=0.9, b=0.4, method="lucene")
    tracemalloc.start()
    postings = scorer.build_index_from_ids(list(range(terms)), tokens)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return postings, peak / len(tokens.terms), tokens


def test_postings_take_little_more_than_themselves():
    # Position and score are 8 bytes, a count in a passage is one.
    _, peak, _ = scored(100_000, 40, 50_000)
    assert peak < 14


@pytest.mark.parametrize("length", [200, 300, 70_000])
def test_counts_and_slices_lose_nothing(length):
    """Counts beyond a byte and beyond two; more postings than are scored at a time."""
    documents = max(3, 600_000 // length)
    terms = 3 if length == 70_000 else 250
    postings, _, tokens = scored(documents, length, terms)
    counts = np.zeros((terms, documents), np.int64)
    np.add.at(counts, (tokens.terms, tokens.documents), 1)
    present = counts.nonzero()
    assert np.array_equal(postings["indices"], present[1])
    df = np.float64((counts > 0).sum(axis=1))
    idf = np.log(1 + (documents - df + 0.5) / (df + 0.5))[present[0]]
    tf = counts[present]
    norm = 0.9 * (0.6 + 0.4 * stored_length([length])[0] / length)
    np.testing.assert_allclose(postings["data"], idf * tf / (tf + norm), rtol=1e-5)
