"""Head profiles: criteria and entropy by hand, selection, stability, files."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrank.data.trec import Qrels
from headrank.errors import HeadRankError
from headrank.heads.criteria import (
    CRITERIA,
    contrastive,
    contrastive_z,
    entropy,
    graded,
    mass_on_relevant,
)
from headrank.heads.profile import Profile, profile_heads
from headrank.options.selection import SelectionOptions
from headrank.reading.readings import ListReading, ReadingFile, save_readings


def one_head(*values):
    """Return ``[1, 1, docs]``."""
    return np.array([[values]], dtype=np.float64)


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def test_contrastive_by_hand():
    grades = np.array([1, 0, 2, 0])
    value = contrastive(one_head(0.3, 0.1, 0.2, 0.0), grades, 0.1)
    negatives = math.exp(1) + math.exp(0)
    # Each relevant document stands against the others, never against the other relevant one.
    expected = [math.exp(3) / (math.exp(3) + negatives), math.exp(2) / (math.exp(2) + negatives)]
    np.testing.assert_allclose(value, [[np.mean(expected)]])


def test_contrastive_survives_cold_temperatures():
    grades = np.array([1, 1, 0])
    # exp(900) and exp(-900) are no doubles; both relevant documents still win or lose clearly.
    np.testing.assert_allclose(contrastive(one_head(0.95, 0.04, 0.01), grades, 0.001), [[1.0]])
    np.testing.assert_allclose(contrastive(one_head(0.95, 0.01, 0.04), grades, 0.001), [[0.5]])
    np.testing.assert_allclose(contrastive(one_head(0.95, 0.04, 0.04), grades, 0.001), [[0.75]])


def test_contrastive_z_is_free_of_scale_and_shift():
    grades = np.array([1, 0, 0, 2])
    mass = np.random.default_rng(0).random((3, 4, 4))
    value = contrastive_z(mass, grades, 0.001)
    np.testing.assert_allclose(contrastive_z(mass * 1e-4 + 0.3, grades, 0.001), value, rtol=1e-6)
    z = (mass[1, 2] - mass[1, 2].mean()) / mass[1, 2].std()
    np.testing.assert_allclose(
        value[1, 2],
        np.mean([np.exp(z[i]) / (np.exp(z[i]) + np.exp(z[[1, 2]]).sum()) for i in (0, 3)]),
    )
    np.testing.assert_allclose(contrastive_z(one_head(0.1, 0.1, 0.1, 0.1), grades, 1), [[1 / 3]])


def test_graded_by_hand():
    grades = np.array([0, 2, 1, 0])
    mass = one_head(0.1, 0.4, 0.2, 0.3)
    low = (sigmoid(math.log(0.2 / 0.1)) + sigmoid(math.log(0.2 / 0.3))) / 2
    high = sigmoid(math.log(0.4 / 0.2))
    # Both boundaries count alike, though one has two pairs; 2 against 0 is no boundary.
    np.testing.assert_allclose(graded(mass, grades, 0.0), [[(low + high) / 2]])


def test_graded_takes_the_neighbouring_grade_that_is_present():
    mass = one_head(0.1, 0.3)
    np.testing.assert_allclose(graded(mass, np.array([0, 3]), 0.0), [[0.75]])
    np.testing.assert_allclose(graded(mass, np.array([3, 0]), 0.0), [[0.25]])
    np.testing.assert_allclose(graded(one_head(0.2, 0.2), np.array([1, 0]), 0.0), [[0.5]])


def test_mass_on_relevant_by_hand():
    value = mass_on_relevant(one_head(0.1, 0.2, 0.4), np.array([1, 0, 3]), 0.0)
    np.testing.assert_allclose(value, [[0.5]])


def test_entropy_by_hand():
    expected = (0.5 * math.log(2) + 2 * 0.25 * math.log(4)) / math.log(3)
    np.testing.assert_allclose(entropy(one_head(0.2, 0.1, 0.1)), [[expected]])


MASSES = st.lists(st.floats(0, 1, allow_subnormal=False), min_size=2, max_size=12).map(
    lambda values: np.array([[values]])
)


@settings(deadline=None)
@given(mass=MASSES)
def test_entropy_lies_between_one_document_and_all_alike(mass):
    value = entropy(mass)[0, 0]
    assert -1e-9 <= value <= 1 + 1e-9
    count = mass.shape[-1]
    np.testing.assert_allclose(entropy(np.full((1, 1, count), 0.01)), [[1.0]])
    single = np.zeros((1, 1, count))
    single[..., 0] = 0.5
    np.testing.assert_allclose(entropy(single), [[0.0]], atol=1e-6)


@settings(deadline=None)
@given(mass=MASSES, seed=st.integers(0, 99))
def test_criteria_stay_within_their_bounds(mass, seed):
    generator = np.random.default_rng(seed)
    count = mass.shape[-1]
    grades = np.array([0, 1, *generator.integers(0, 4, size=count - 2)])
    order = generator.permutation(count)
    for name, criterion in CRITERIA.items():
        value = criterion(mass, grades, 0.001)
        assert value.shape == (1, 1)
        assert 0 <= value[0, 0] <= (count if name == "mass" else 1)
        # Where the documents stand does not matter.
        moved = criterion(mass[..., order], grades[order], 0.001)
        np.testing.assert_allclose(moved, value, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("name", CRITERIA)
def test_a_head_that_sees_relevance_scores_higher(name):
    grades = np.array([0, 2, 0, 1, 0])
    good, blind, wrong = (0.1, 0.4, 0.1, 0.2, 0.1), (0.2,) * 5, (0.4, 0.1, 0.3, 0.1, 0.4)
    values = [
        float(CRITERIA[name](one_head(*values), grades, 0.05)[0, 0])
        for values in (good, blind, wrong)
    ]
    assert values[0] > values[1] > values[2]


GRADES = {
    "q1": {"a": 1, "b": 0},
    "q2": {"a": 2, "c": 1},
    "one grade": {"a": 1, "b": 1, "c": 1},
    "negative": {"a": -2},
}


def shards(folder, seed=0):
    """Return two shards: q1 and q2 separate grades, the other lists do not."""
    generator = np.random.default_rng(seed)
    groups = [["q1", "one grade"], ["negative", "unjudged", "q2"]]
    for number, names in enumerate(groups):
        readings = [
            ListReading(name, ("a", "b", "c"), generator.random((2, 3, 3), dtype=np.float32))
            for name in names
        ]
        save_readings(folder / str(number), readings, {"model_digest": "m", "order": "shuffled"})
    return [ReadingFile(folder / str(number)) for number in range(len(groups))]


def test_profile_of_readings(tmp_path):
    parts = shards(tmp_path)
    profile = profile_heads(parts, Qrels(GRADES), temperature=0.05)
    assert profile.queries == ("q1", "q2")
    assert profile.provenance == {"model_digest": "m", "order": "shuffled", "temperature": 0.05}
    readings = {r.query_id: r.query.astype(float) for part in parts for r in part}
    for place, (query, grades) in enumerate((("q1", [1, 0, 0]), ("q2", [2, 0, 1]))):
        mass = readings[query]
        np.testing.assert_array_equal(profile.entropy[place], entropy(mass))
        for name, criterion in CRITERIA.items():
            expected = criterion(mass, np.array(grades), 0.05)
            np.testing.assert_array_equal(profile.discriminability[name][place], expected)


def test_queries_of_one_grade_teach_nothing(tmp_path):
    with pytest.raises(HeadRankError, match="no profiling query has candidates of two different"):
        profile_heads(shards(tmp_path), Qrels({"q1": {"z": 1}, "one grade": GRADES["one grade"]}))


def test_one_query_has_no_standard_error(tmp_path):
    with pytest.raises(
        HeadRankError, match=r"only 1 profiling query has .* standard error needs 2"
    ):
        profile_heads(shards(tmp_path), Qrels({"q1": GRADES["q1"]}))


def made(disc, entropies=None, name="graded"):
    """Return a profile with the given ``[queries, layers, heads]`` of one criterion."""
    disc = np.array(disc, dtype=np.float64)
    spread = np.zeros_like(disc) if entropies is None else np.array(entropies, dtype=np.float64)
    return Profile(tuple(f"q{i}" for i in range(len(disc))), {name: disc}, spread, {"model": "m"})


def test_selection_scores_are_means_of_disc_less_entropy():
    profile = made(
        [[[0.9, 0.4], [0.5, 0.2]], [[0.7, 0.6], [0.1, 0.0]]],
        [[[1.0, 0.2], [0.3, 0.4]], [[0.8, 0.0], [0.5, 0.6]]],
    )
    np.testing.assert_allclose(
        profile.scores(SelectionOptions(entropy_weight=0.5)),
        [[0.8 - 0.45, 0.5 - 0.05], [0.3 - 0.2, 0.1 - 0.25]],
    )
    np.testing.assert_allclose(
        profile.scores(SelectionOptions(entropy_weight=0.5), np.array([1, 1, 0])),
        [[2.3 / 3 - 1.3 / 3, 1.6 / 3 - 0.1 / 3], [0.7 / 3 - 0.65 / 3, 0.2 / 3 - 0.8 / 3]],
    )
    plain = profile.select(SelectionOptions(heads=2))
    assert plain.pairs == [(0, 0), (0, 1)]
    # Entropy turns the order round.
    weighted = profile.select(SelectionOptions(heads=2, entropy_weight=0.5))
    assert weighted.pairs == [(0, 1), (0, 0)]
    best = weighted.heads[0]
    assert (best.score, best.discriminability, best.entropy) == pytest.approx((0.45, 0.5, 0.1))


def test_ties_go_to_the_earlier_layer_then_head():
    profile = made([[[0.5, 0.7, 0.5], [0.7, 0.5, 0.5]]])
    pairs = profile.select(SelectionOptions(heads=4)).pairs
    assert pairs == [(0, 1), (1, 0), (0, 0), (0, 2)]


def test_selection_within_layers():
    profile = made([np.arange(12).reshape(4, 3) / 12])
    pairs = profile.select(SelectionOptions(heads=4, layers=(1, 2))).pairs
    assert pairs == [(2, 2), (2, 1), (2, 0), (1, 2)]
    profile.select(SelectionOptions(heads=6, layers=(1, 2)))
    with pytest.raises(HeadRankError, match="7 heads asked for, 6 are available in the allowed"):
        profile.select(SelectionOptions(heads=7, layers=(1, 2)))
    with pytest.raises(HeadRankError, match="13 heads asked for, 12 are available"):
        profile.select(SelectionOptions(heads=13))


def test_the_selection_says_how_it_was_made():
    options = SelectionOptions(heads=1, entropy_weight=0.25, layers=(0, 1))
    provenance = made([[[0.5, 0.7], [0.1, 0.2]]]).select(options).provenance
    assert provenance["model"] == "m" and provenance["profiling_queries"] == 1
    assert provenance["selection"] == {
        "criterion": "graded",
        "heads": 1,
        "entropy_weight": 0.25,
        "layers": (0, 1),
    }


def test_stability_is_a_share_and_deterministic():
    generator = np.random.default_rng(1)
    disc = generator.random((12, 3, 4))
    disc[:, 2, 1] += 2  # wins in every sample
    disc[:, 0, 0] -= 2  # never
    profile, options = made(disc), SelectionOptions(heads=3)
    shares = profile.stability(options, 200, seed=3)
    assert shares.shape == (3, 4)
    assert ((shares >= 0) & (shares <= 1)).all()
    assert shares.sum() == pytest.approx(3)
    assert shares[2, 1] == 1 and shares[0, 0] == 0
    assert ((shares > 0) & (shares < 1)).sum() > 3
    np.testing.assert_array_equal(profile.stability(options, 200, seed=3), shares)
    assert (profile.stability(options, 200, seed=4) != shares).any()


def test_stability_resamples_queries_with_replacement():
    # Two queries that prefer different heads: each sample (00, 01, 10, 11) picks one head.
    profile = made([[[1.0, 0.0]], [[0.0, 0.9]]])
    shares = profile.stability(SelectionOptions(heads=1), 4000, seed=0)
    np.testing.assert_allclose(shares, [[0.75, 0.25]], atol=0.03)


def test_the_table_holds_means_and_standard_errors():
    disc = [[[0.2, 0.4]], [[0.4, 0.4]], [[0.9, 0.4]]]
    table = made(disc, [[[0.5, 1.0]]] * 3).table()
    assert table[["layer", "head"]].to_numpy().tolist() == [[0, 0], [0, 1]]
    assert table["graded"].tolist() == pytest.approx([0.5, 0.4])
    assert table["graded_se"].tolist() == pytest.approx([math.sqrt(0.13 / 3), 0], abs=1e-12)
    assert table["entropy"].tolist() == [0.5, 1.0]
    assert made(disc[:1]).table()["graded_se"].isna().all()


def test_a_profile_survives_its_file(tmp_path):
    profile = profile_heads(shards(tmp_path), Qrels(GRADES))
    profile.save(tmp_path / "p.npz")
    back = Profile.load(tmp_path / "p.npz")
    assert (back.queries, back.provenance) == (profile.queries, profile.provenance)
    np.testing.assert_array_equal(back.entropy, profile.entropy)
    assert list(back.discriminability) == list(CRITERIA)
    for name, values in profile.discriminability.items():
        np.testing.assert_array_equal(back.discriminability[name], values)


def test_heads_are_selected_on_largest_logits(tmp_path):
    """As ``graded`` on masses whose logarithms are the logits; entropy is that of their softmax."""
    generator = np.random.default_rng(5)
    logits = {name: generator.normal(size=(2, 3, 3)).astype(np.float32) for name in ("q1", "q2")}
    readings = [
        ListReading(name, ("a", "b", "c"), np.ones((2, 3, 3), np.float32), max_logits=values)
        for name, values in logits.items()
    ]
    save_readings(tmp_path / "0", readings, {})
    profile_heads([ReadingFile(tmp_path / "0")], Qrels(GRADES)).save(tmp_path / "p.npz")
    profile = Profile.load(tmp_path / "p.npz")
    options = SelectionOptions("max-logit", heads=2, entropy_weight=0.3)
    expected = np.mean(
        [
            graded(np.exp(logits[name]), np.array(grades), 1) - 0.3 * entropy(np.exp(logits[name]))
            for name, grades in (("q1", [1, 0, 0]), ("q2", [2, 0, 1]))
        ],
        axis=0,
    )
    np.testing.assert_allclose(profile.scores(options), expected, rtol=1e-6)
    best = profile.select(options).heads[0]
    assert best.score == pytest.approx(expected.max())
    assert best.entropy == pytest.approx(
        np.mean([entropy(np.exp(one))[best.layer, best.head] for one in logits.values()])
    )
    without = profile_heads(shards(tmp_path), Qrels(GRADES))
    with pytest.raises(HeadRankError, match=r"hold no largest logits.*max_logits: true"):
        without.select(options)


def test_a_damaged_profile_is_refused(tmp_path):
    path = tmp_path / "p.npz"
    with pytest.raises(HeadRankError, match=r"p\.npz: no such profile"):
        Profile.load(path)
    made([[[0.5]]]).save(path)
    data = path.read_bytes()
    for content in (b"", data[:-30], data[: len(data) // 2]):
        path.write_bytes(content)
        with pytest.raises(HeadRankError, match=r"the profile is damaged.*profile again"):
            Profile.load(path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"criterion": "best"},
            r"selection\.criterion is 'best'; allowed: graded, contr",
        ),
        ({"heads": 0}, "heads is 0; allowed: a whole number from 1"),
        ({"entropy_weight": -0.1}, r"entropy_weight is -0\.1; allowed: a number from 0"),
        ({"entropy_weight": math.nan}, r"selection\.entropy_weight is nan; .*must be finite"),
        ({"layers": [3, 1]}, r"selection\.layers is \[3, 1\]; allowed: \[first, last\] with first"),
        ({"layers": [3]}, r"selection\.layers is \[3\]; allowed: \[first, last\], counted from 0"),
        ({"layers": [0, True]}, r"selection\.layers\.1 is true; allowed: a whole number from 0"),
    ],
)
def test_selections_without_a_meaning_are_refused(options, message):
    with pytest.raises(HeadRankError, match=message):
        SelectionOptions(**options)
