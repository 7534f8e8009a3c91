"""Reading files: round trip, every kind of damage, shards that do not belong together."""

import zipfile
from dataclasses import fields, replace

import numpy as np
import pytest

from headrank.errors import HeadRankError
from headrank.io.arrays import ArrayFile, save_arrays
from headrank.reading.readings import ListReading, ReadingFile, load_shards, save_readings

PROVENANCE = {"model": "tiny", "prompt": {"rows": "query"}, "order": "shuffled"}


def reading(query_id="q1", documents=3, seed=0, tokens=True):
    """Return a random reading of 2 layers of 4 heads whose parts agree with each other."""
    generator = np.random.default_rng(seed)
    widths = generator.integers(1, 4, size=documents)
    ends = widths.cumsum()
    spans = np.stack([ends - widths, ends], axis=1)
    query, calibration = generator.random((2, 2, 4, int(ends[-1])), dtype=np.float32)
    sums = [np.add.reduceat(values, spans[:, 0], axis=-1) for values in (query, calibration)]
    return ListReading(
        query_id=query_id,
        doc_ids=tuple(f"d{i}" for i in range(documents)),
        query=sums[0],
        calibration=sums[1],
        spans=spans,
        contrast=(query - calibration).sum((0, 1)),
        tokens=query - calibration if tokens else None,
        max_logits=np.log(sums[0]) if seed % 2 else None,
    )


def equal(one, other, without=()):
    for field in fields(ListReading):
        left, right = getattr(one, field.name), getattr(other, field.name)
        if field.name in without:
            assert right is None
        elif isinstance(left, np.ndarray):
            assert left.dtype == right.dtype
            np.testing.assert_array_equal(left, right)
        else:
            assert left == right


@pytest.fixture
def path(tmp_path):
    target = tmp_path / "0.npz"
    save_readings(target, [reading("q1"), reading("q2", 5, 1)], PROVENANCE)
    return target


def test_readings_survive_the_file(path):
    saved = ReadingFile(path)
    assert len(saved) == 2
    assert saved.meta["provenance"] == PROVENANCE
    for one, other in zip([reading("q1"), reading("q2", 5, 1)], saved.lists(True), strict=True):
        equal(one, other)
    # Token arrays are left in the file unless they are asked for.
    for one, other in zip([reading("q1"), reading("q2", 5, 1)], saved, strict=True):
        equal(one, other, without=("tokens",))


def test_readings_without_calibration_survive_the_file(tmp_path):
    bare = ListReading("q", ("a", "b"), np.ones((1, 2, 2), dtype=np.float32))
    save_readings(tmp_path / "0.npz", [bare], {})
    (back,) = ReadingFile(tmp_path / "0.npz")
    equal(bare, back)


def test_the_same_readings_are_the_same_bytes(tmp_path):
    for name in "ab":
        save_readings(tmp_path / name, [reading("q1"), reading("q2")], PROVENANCE)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_kept_tokens_are_told_apart(tmp_path):
    save_readings(tmp_path / "0.npz", [reading("q1"), reading("q2", tokens=False)], {})
    saved = ReadingFile(tmp_path / "0.npz")
    assert len(list(saved)) == 2
    with pytest.raises(HeadRankError, match=r"0\.npz: token masses were not kept.*tokens: all"):
        list(saved.lists(tokens=True))


def read_all(path):
    return list(ReadingFile(path).lists(tokens=True))


def test_a_missing_file(tmp_path):
    with pytest.raises(HeadRankError, match=r"x\.npz: no such reading"):
        ReadingFile(tmp_path / "x.npz")


@pytest.mark.parametrize("share", [0, 0.001, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file(path, share):
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(HeadRankError, match=r"0\.npz: the reading is damaged.*read again"):
        read_all(path)


@pytest.mark.parametrize("content", [b"", b"not an archive", b"\x93NUMPY", b"PK\x03\x04"])
def test_a_file_of_another_kind(path, content):
    path.write_bytes(content)
    with pytest.raises(HeadRankError, match="the reading is damaged"):
        read_all(path)


def test_an_array_file_of_another_kind(tmp_path):
    np.savez(tmp_path / "plain.npz", a=np.ones(3))
    with pytest.raises(HeadRankError, match="the reading is damaged"):
        ReadingFile(tmp_path / "plain.npz")
    save_arrays(tmp_path / "other.npz", {"format": 7}, {"a": np.ones(3)})
    with pytest.raises(HeadRankError, match="format 7, expected 1; delete it and read again"):
        ReadingFile(tmp_path / "other.npz")


def test_no_flipped_bit_gives_other_numbers(tmp_path):
    """The damage is told, or it lies where nothing is read from."""
    path = tmp_path / "0.npz"
    whole = reading()
    save_readings(path, [whole], PROVENANCE)
    data = path.read_bytes()
    told = 0
    places = range(0, len(data), 7)
    for place in places:
        flipped = bytearray(data)
        flipped[place] ^= 1 << (place % 8)
        path.write_bytes(flipped)
        try:
            (back,) = read_all(path)
        except HeadRankError as error:
            assert "damaged" in str(error) and "read again" in str(error)
            told += 1
        else:
            equal(whole, back)
    assert told > len(places) // 2


def test_a_shortened_header_is_noticed(tmp_path):
    """Every byte of the file is there; numpy alone returns the first part, unchecked."""
    path = tmp_path / "a.npz"
    save_arrays(path, {}, {"a": np.arange(80000, dtype=np.float32)})
    data = path.read_bytes()
    assert data.count(b"(80000,)") == 1
    path.write_bytes(data.replace(b"(80000,)", b"(10000,)"))
    assert np.load(path)["a"].shape == (10000,)
    with pytest.raises(HeadRankError, match=r"the thing is damaged.*CRC.*; delete it and remake"):
        ArrayFile(path, "thing", "remake")["a"]


def test_a_lost_member_is_noticed(path):
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    for lost in members:
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in members.items():
                if name != lost:
                    archive.writestr(name, content)
        with pytest.raises(HeadRankError, match="the reading is damaged"):
            read_all(path)


@pytest.mark.parametrize("name", ["query", "calibration"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -1e-3])
def test_values_that_no_softmax_gives(tmp_path, name, value):
    values = getattr(reading(), name).copy()
    values[1, 2, 0] = value
    save_readings(tmp_path / "0.npz", [replace(reading("q7"), **{name: values})], {})
    with pytest.raises(HeadRankError, match=f"0.npz: query q7 has NaN or negative.*'{name}'"):
        list(ReadingFile(tmp_path / "0.npz"))


def shards(folder, provenances, queries):
    paths = []
    for number, (provenance, names) in enumerate(zip(provenances, queries, strict=True)):
        paths.append(folder / f"{number}.npz")
        save_readings(paths[-1], [reading(name) for name in names], provenance)
    return paths


def test_shards_of_one_set(tmp_path):
    paths = shards(tmp_path, [PROVENANCE] * 3, [["a", "b"], ["c"], []])
    loaded = load_shards(paths)
    assert [r.query_id for shard in loaded for r in shard] == ["a", "b", "c"]


def test_shards_may_be_read_on_different_gpus(tmp_path):
    made = [PROVENANCE | {"gpu": {"name": name, "driver": "580"}} for name in ("A100", "H100")]
    loaded = load_shards(shards(tmp_path, made, [["a"], ["b"]]))
    assert [shard.meta["provenance"]["gpu"]["name"] for shard in loaded] == ["A100", "H100"]


def test_shards_may_be_read_at_different_commits_of_the_same_code(tmp_path):
    made = [
        PROVENANCE | {"code": "0123", "git": {"commit": commit, "dirty": False}} for commit in "ab"
    ]
    loaded = load_shards(shards(tmp_path, made, [["a"], ["b"]]))
    assert [shard.meta["provenance"]["git"]["commit"] for shard in loaded] == ["a", "b"]


@pytest.mark.parametrize(
    "other",
    [
        PROVENANCE | {"order": "reversed"},
        PROVENANCE | {"code": "another digest"},
        PROVENANCE | {"device": "another device"},
        PROVENANCE | {"prompt": {"rows": "suffix"}},
        PROVENANCE | {"adapter": "x"},
        {},
    ],
)
def test_shards_of_different_settings(tmp_path, other):
    paths = shards(tmp_path, [PROVENANCE, PROVENANCE, other], [["a"], ["b"], ["c"]])
    with pytest.raises(HeadRankError, match=r"2\.npz and .*0\.npz were read with different sett"):
        load_shards(paths)


@pytest.mark.parametrize("queries", [[["a", "b"], ["c", "a"]], [["b", "a"], ["a"]]])
def test_a_query_in_two_shards(tmp_path, queries):
    paths = shards(tmp_path, [PROVENANCE] * 2, queries)
    with pytest.raises(HeadRankError, match=r"query a is in .*0\.npz and in .*1\.npz; delete"):
        load_shards(paths)


def test_a_query_twice_in_one_shard(tmp_path):
    (path,) = shards(tmp_path, [PROVENANCE], [["a", "a"]])
    with pytest.raises(HeadRankError, match=r"query a is in .*0\.npz and in .*0\.npz"):
        load_shards([path])
