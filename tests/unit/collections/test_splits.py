"""What a user's folder holds of each split is known before it is imported."""

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
