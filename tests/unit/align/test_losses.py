"""Losses against closed forms and numerical gradients."""

import math

import pytest
import torch

from headrank.align.losses import graded_kl, middle_spread, preference_loss, relevance
from headrank.align.options import REGULARISERS, SCALES, AlignOptions
from headrank.data.trec import MAX_GRADE
from headrank.errors import HeadRankError

FIRST, SECOND = torch.tensor([0, 1]), torch.tensor([2, 0])


def doubles(*values, grad=False):
    return torch.tensor(values, dtype=torch.float64, requires_grad=grad)


def random(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    values = torch.rand(*shape, dtype=torch.float64, generator=generator) + 0.05
    return values.requires_grad_()


def test_relevance_is_the_logarithm_of_the_sum_over_heads():
    mass = torch.tensor([[0.1, 0.2], [0.3, 0.5]])
    expected = torch.tensor([math.log(0.4), math.log(0.7)])
    torch.testing.assert_close(relevance(mass), expected)


def test_min_max_stretches_to_the_width():
    mass = torch.tensor([[0.1, 0.2, 0.3], [0.1, 0.5, 0.1]])
    torch.testing.assert_close(relevance(mass, "min-max"), torch.tensor([0.0, 8.0, 3.2]))
    torch.testing.assert_close(relevance(mass, "min-max", 2.0), torch.tensor([0.0, 2.0, 0.8]))
    # Free of the list's total mass.
    torch.testing.assert_close(relevance(mass * 7, "min-max"), relevance(mass, "min-max"))


@pytest.mark.parametrize("scale", SCALES)
def test_relevance_is_finite_without_mass_or_differences(scale):
    for mass in (torch.zeros(2, 3), torch.full((2, 3), 0.2)):
        assert torch.isfinite(relevance(mass, scale)).all()


def test_an_unknown_scale_is_refused():
    with pytest.raises(HeadRankError, match="scale 'linear' is unknown; allowed: log, min-max"):
        relevance(torch.ones(1, 2), "linear")


def test_preference_loss_by_hand():
    z = doubles(1.0, 0.5, -1.0)
    margins = (1.0 - -1.0, 0.5 - 1.0)
    for beta in (0.3, 1.0, 4.0):
        expected = sum(math.log(1 + math.exp(-beta * m)) for m in margins) / 2
        assert float(preference_loss(z, FIRST, SECOND, beta)) == pytest.approx(expected)
    reference = doubles(0.7, -2.0)
    expected = sum(
        math.log(1 + math.exp(-2 * (m - r))) for m, r in zip(margins, (0.7, -2.0), strict=True)
    )
    assert float(preference_loss(z, FIRST, SECOND, 2.0, reference)) == pytest.approx(expected / 2)


def test_preference_loss_of_the_reference_itself_is_log_two():
    z = doubles(3.0, -5.0, 0.1)
    assert float(preference_loss(z, FIRST, SECOND, 9.0, z[FIRST] - z[SECOND])) == pytest.approx(
        math.log(2)
    )


def test_preference_loss_has_no_overflow_and_the_right_slope():
    z = doubles(-2000.0, 0.0, 2000.0, grad=True)
    loss = preference_loss(z, torch.tensor([0]), torch.tensor([2]), 1.0)
    assert loss.item() == pytest.approx(4000)
    loss.backward()
    # Descending raises the chosen document and lowers the rejected one.
    torch.testing.assert_close(z.grad, doubles(-1.0, 0.0, 1.0))


def test_graded_kl_by_hand():
    z, grades = doubles(0.3, -1.2, 2.0, 0.0), torch.tensor([2, 0, 1, 0])
    target = [3 / 4, 0, 1 / 4, 0]
    norm = sum(math.exp(float(value)) for value in z)
    expected = sum(
        t * (math.log(t) - math.log(math.exp(float(value)) / norm))
        for t, value in zip(target, z, strict=True)
        if t
    )
    assert float(graded_kl(z, grades)) == pytest.approx(expected)


def test_graded_kl_is_zero_at_the_target_only_and_free_of_shifts():
    grades = torch.tensor([1, 2, 3])
    z = torch.log(torch.exp2(grades.double()) - 1)
    assert float(graded_kl(z, grades)) == pytest.approx(0, abs=1e-12)
    assert float(graded_kl(z + 5, grades)) == pytest.approx(0, abs=1e-12)
    assert float(graded_kl(z + doubles(0.1, 0, 0), grades)) > 1e-4


def test_graded_kl_without_a_relevant_document_is_no_loss():
    z = doubles(0.3, -1.2, grad=True)
    loss = graded_kl(z, torch.tensor([0, 0]))
    loss.backward()
    assert loss.item() == 0
    torch.testing.assert_close(z.grad, doubles(0.0, 0.0))


def test_middle_spread_by_hand():
    # Of eight documents the middle zone is positions 2..5: deviation 0.5 about 1.5.
    z = doubles(9, -9, 1, 2, 1, 2, 7, 7)
    assert float(middle_spread(z, 0.8)) == pytest.approx(0.3**2, rel=1e-6)
    assert float(middle_spread(z, 0.5)) == pytest.approx(0, abs=1e-12)
    assert float(middle_spread(z, 0.1)) == 0
    # What lies outside the zone does not matter.
    assert middle_spread(z * doubles(0, 0, 1, 1, 1, 1, 0, 0), 0.8) == middle_spread(z, 0.8)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_middle_spread_of_short_lists_is_no_loss(count):
    z = torch.zeros(count, dtype=torch.float64, requires_grad=True)
    loss = middle_spread(z, 0.5)
    loss.backward()
    assert z.grad is not None
    if count < 3:
        assert loss.item() == 0


def test_middle_spread_of_equal_scores_has_a_finite_gradient():
    z = torch.zeros(8, dtype=torch.float64, requires_grad=True)
    loss = middle_spread(z, 0.5)
    loss.backward()
    assert loss.item() == pytest.approx(0.25, rel=1e-3)
    assert torch.isfinite(z.grad).all()


def test_middle_spread_pushes_the_zone_apart():
    z = doubles(0, 0, 1.0, 1.1, 1.2, 1.3, 0, 0, grad=True)
    middle_spread(z, 0.5).backward()
    step = -z.grad
    assert step[2] < 0 and step[5] > 0
    assert (step[[0, 1, 6, 7]] == 0).all()


GRADES = torch.tensor([0, 2, 1, 0, 3, 0])
CHOSEN, REJECTED = torch.tensor([1, 4, 2]), torch.tensor([2, 1, 0])
LOSSES = {
    "relevance": lambda z: z,
    "preference": lambda z: preference_loss(z, CHOSEN, REJECTED, 1.7),
    "preference with reference": lambda z: preference_loss(
        z, CHOSEN, REJECTED, 1.7, doubles(0.3, -0.2, 1.0)
    ),
    "graded-kl": lambda z: graded_kl(z, GRADES),
    "middle-spread": lambda z: middle_spread(z, 5.0),
}


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", LOSSES)
def test_gradients_agree_with_finite_differences(name, scale):
    mass = random(3, 6)
    assert torch.autograd.gradcheck(lambda m: LOSSES[name](relevance(m, scale)), (mass,))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reference": "base"}, r"alignment\.reference is 'base'; allowed: none, frozen"),
        ({"projections": "mlp"}, r"alignment\.projections is 'mlp'; allowed: query-key, attention"),
        ({"schedule": "step"}, r"alignment\.schedule is 'step'; allowed: constant, linear, cosine"),
        ({"scale": "linear"}, r"alignment\.scale is 'linear'; allowed: log, min-max"),
        ({"regulariser": "l2"}, r"alignment\.regulariser is 'l2'; allowed: graded-kl, middle"),
        ({"rank": 0}, r"alignment\.rank is 0; allowed: a whole number from 1"),
        ({"batch": -2}, r"alignment\.batch is -2"),
        ({"checkpoint_every": 0}, r"alignment\.checkpoint_every is 0"),
        ({"learning_rate": 0}, r"alignment\.learning_rate is 0; allowed: a number above 0"),
        ({"learning_rate": math.nan}, r"alignment\.learning_rate is nan"),
        ({"learning_rate": math.inf}, r"alignment\.learning_rate is inf; .*must be finite"),
        ({"regulariser_weight": math.inf}, r"alignment\.regulariser_weight is inf"),
        ({"beta": -1.0}, r"alignment\.beta is -1\.0"),
        ({"warmup": 1.0}, r"alignment\.warmup is 1\.0; allowed: a share, from 0 to less"),
        ({"regulariser_weight": -0.1}, r"alignment\.regulariser_weight is -0\.1"),
        ({"dropout": 1.0}, r"alignment\.dropout is 1\.0; allowed: a share, from 0 to less"),
        ({"rank": 8.0}, r"alignment\.rank is 8\.0; .*\(write 8\)"),
        ({"epochs": True}, r"alignment\.epochs is true; allowed: a whole number from 1"),
        ({"learning_rate": "1e-3"}, r"is '1e-3'; .*write 0\.001, without quotes"),
        ({"spread_floor": 0}, r"alignment\.spread_floor is 0; allowed: a number above 0"),
        ({"spread_floor": -1.0}, r"alignment\.spread_floor is -1\.0"),
    ],
)
def test_settings_are_refused_by_name(options, message):
    with pytest.raises(HeadRankError, match=message):
        AlignOptions(**options)


@pytest.mark.parametrize("regulariser", REGULARISERS)
def test_every_regulariser_is_a_setting(regulariser):
    assert AlignOptions(regulariser=regulariser).regulariser == regulariser


def as_before(z, grades):
    """The regulariser as it was computed in the type of z alone."""
    gains = torch.exp2(grades.to(z.dtype)) - 1
    target = gains / gains.sum()
    return torch.special.xlogy(target, target).sum() - (target * z.log_softmax(0)).sum()


@pytest.mark.parametrize("seed", range(40))
def test_small_grades_give_the_same_bits_in_float32(seed):
    generator = torch.Generator().manual_seed(seed)
    grades = torch.randint(0, 2 + seed % 14, (2 + seed % 30,), generator=generator)
    grades[0] = 1
    z = torch.randn(len(grades), generator=generator)
    ours, theirs = z.clone().requires_grad_(), z.clone().requires_grad_()
    new, old = graded_kl(ours, grades), as_before(theirs, grades)
    new.backward()
    old.backward()
    assert new.dtype == torch.float32
    assert torch.equal(new, old) and torch.equal(ours.grad, theirs.grad)


@pytest.mark.parametrize("high", [24, 127, 128, 500, MAX_GRADE])
def test_high_grades_give_a_finite_loss(high):
    z = torch.tensor([0.3, -0.2, 0.1], requires_grad=True)
    loss = graded_kl(z, torch.tensor([high, high - 1, 0]))
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(z.grad).all()
    # Shares of two thirds, one third and nothing.
    expected = graded_kl(z.detach().double(), torch.tensor([40, 39, 0]))
    torch.testing.assert_close(loss.double(), expected, rtol=1e-6, atol=1e-6)
