"""What a user's folder holds of each split is known before it is imported."""

import gzip

import pytest

from headrank.collections.splits import shares_a_query, splits
from tests.helpers.own_folder import FILES, written


@pytest.fixture
def food(tmp_path, monkeypatch):
    """Return a collection's folder in the working folder."""
    monkeypatch.chdir(tmp_path)
    return written(tmp_path / "food")


def test_a_split_s_digest_depends_on_its_own_lines_alone(food):
    def changed(name, text):
        before = splits(food).digests
        (food / name).write_text(text)
        after = splits(food).digests
        return {split for split in before.keys() | after if before.get(split) != after.get(split)}

    assert set(splits(food).digests) == {"test", "train", "dev"}
    more = FILES["queries.jsonl"] + '{"query_id": "u", "text": "new", "split": "train"}\n'
    assert changed("queries.jsonl", more) == {"train"}
    assert changed("qrels.tsv", FILES["qrels.tsv"] + "u 0 d1 1\n") == {"train"}
    assert changed("qrels.tsv", FILES["qrels.tsv"].replace("7 0 d1 1", "7 0 d1 2")) >= {"dev"}
    assert changed("excluded.tsv", "b d1\n") == {"test"}
    # With candidates of its own the first stage of every split is another.
    assert changed("candidates.run", "a Q0 d1 1 1.0 x\n") == {"test", "train", "dev"}


def test_a_byte_order_mark_is_no_part_of_a_query(food):
    known = splits(food).digests
    for name in ("queries.jsonl", "qrels.tsv"):
        (food / name).write_bytes(b"\xef\xbb\xbf" + FILES[name].encode())
    assert splits(food).digests == known


@pytest.mark.parametrize(
    "name, text", [("queries.jsonl", "{"), ("queries.jsonl", "[]\n"), ("qrels.tsv", "a 0\n")]
)
def test_of_a_faulty_folder_nothing_is_said_its_own_check_does(food, name, text):
    (food / name).write_text(text)
    assert splits(food) is None


def test_splits_share_a_question_whatever_its_letters(food):
    texts = splits(food).texts
    assert shares_a_query(texts["test"], texts["train"])
    assert not shares_a_query(texts["test"], texts["dev"])


def beir(folder):
    """Put the folder's judgments into BEIR's form; return it."""
    (folder / "qrels.tsv").unlink()
    (folder / "qrels").mkdir()
    heading = "query-id\tcorpus-id\tscore\n"
    for split, lines in {"test": "a\td1\t2\nb\td1\t0\n", "train": "t\td1\t1\n"}.items():
        (folder / f"qrels/{split}.tsv").write_text(heading + lines)
    text = FILES["queries.jsonl"].replace("query_id", "_id").replace(', "split": "train"', "")
    (folder / "queries.jsonl").write_text(text)
    return folder


def test_in_beir_s_form_the_file_that_judges_a_query_names_its_split(food):
    known = splits(beir(food))
    assert {split: set(asked) for split, asked in known.texts.items()} == {
        "test": {"a", "b"},
        "train": {"t"},
        "dev": {"7"},
    }
    assert known.judged == {"test": 1, "train": 1, "dev": 0}
    before = known.digests
    with open(food / "qrels/test.tsv", "a") as file:
        file.write("a\td2\t1\n")
    after = splits(food).digests
    assert {split for split in before if before[split] != after[split]} == {"test"}


def test_a_packed_folder_has_the_splits_of_a_plain_one(food):
    known = splits(food)
    for name in FILES:
        packed = gzip.compress((food / name).read_bytes())
        (food / f"{name}.gz").write_bytes(packed)
        (food / name).unlink()
    assert splits(food) == known
