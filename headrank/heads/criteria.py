"""How well one head separates grades: the criteria of selection."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

from headrank.heads.zscore import zscore

_TINY = 1e-12


def entropy(mass: np.ndarray) -> np.ndarray:
    """Return ``[layers, heads]`` normalised entropy of shares from ``[layers, heads, docs]``."""
    shares = np.maximum(mass, _TINY)
    shares = shares / shares.sum(axis=-1, keepdims=True)
    return -(shares * np.log(shares)).sum(axis=-1) / np.log(mass.shape[-1])


def contrastive(mass: np.ndarray, grades: np.ndarray, temperature: float) -> np.ndarray:
    """Return ``[layers, heads]``: CoRe's softmax of mass / temperature at the relevant documents.

    Each relevant document stands against all that are not relevant; their values are averaged.
    """
    logits = mass / temperature
    positives = logits[..., grades > 0]
    # In logarithms: at these temperatures the exponentials of most documents are 0.
    negatives = np.logaddexp.reduce(logits[..., grades == 0], axis=-1, keepdims=True)
    return np.exp(positives - np.logaddexp(positives, negatives)).mean(axis=-1)


def contrastive_z(mass: np.ndarray, grades: np.ndarray, temperature: float) -> np.ndarray:
    """Return CoRe's form on each head's z-scores, so heads of any scale compare. [ours]"""
    return contrastive(zscore(mass), grades, 1.0)


def graded(mass: np.ndarray, grades: np.ndarray, temperature: float) -> np.ndarray:
    """Return ``[layers, heads]``: how far adjacent grades lie apart in log mass. [ours]

    Mean over pairs of adjacent present grades of ``sigmoid(log s_i - log s_j)`` with i the
    higher: 0.5 tells nothing, 1 separates fully. Each boundary between grades counts alike.
    """
    return graded_margins(np.log(np.maximum(mass, _TINY)), grades)


def graded_margins(z: np.ndarray, grades: np.ndarray) -> np.ndarray:
    """Return ``graded`` of scores ``[layers, heads, docs]`` whose differences are margins."""
    levels = np.unique(grades)
    boundaries = []
    for low, high in itertools.pairwise(levels):
        margins = z[..., grades == high][..., :, None] - z[..., grades == low][..., None, :]
        boundaries.append((1 / (1 + np.exp(-margins))).mean(axis=(-2, -1)))
    return np.mean(boundaries, axis=0)


def mass_on_relevant(mass: np.ndarray, grades: np.ndarray, temperature: float) -> np.ndarray:
    """Return ``[layers, heads]``: attention mass on the relevant documents (QRHead's QR score)."""
    return mass[..., grades > 0].sum(axis=-1)


CRITERIA: dict[str, Callable[[np.ndarray, np.ndarray, float], np.ndarray]] = {
    "graded": graded,
    "contrastive": contrastive,
    "contrastive-z": contrastive_z,
    "mass": mass_on_relevant,
}
