"""How the pairs of preference training are chosen."""

from __future__ import annotations

from typing import Literal, get_args

from headrank.settings.classes import options
from headrank.settings.kinds import Flag, Positive

Hardness = Literal["hard", "random", "all-levels"]
HARDNESS = get_args(Hardness)


@options("pairs")
class PairOptions:
    """How pairs are chosen."""

    hardness: Hardness = "hard"
    """Which pairs: of adjacent grades [paper] those with the smallest margin first (`hard`) or at
    random (`random`); or of any two grades, smallest margin first (`all-levels`).
    """
    per_query: Positive = 16
    """Most pairs of one query. Boundaries between grades take turns, and none gives more than twice
    the pairs of the scarcest.
    """
    per_boundary: Positive = 16
    """Most pairs of one boundary between two grades."""
    margins: Flag = True
    """Read every training list, so that the table of pairs tells all margins. `false` reads only
    those of which a cap drops pairs: the same pairs, without the margins of the others.
    """
