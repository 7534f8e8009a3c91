"""Errors that tests expect."""

import pytest

from headrank.errors import HeadRankError


def refused(*parts):
    """Expect an error for the user whose message matches every part, in any order."""
    return pytest.raises(HeadRankError, match="(?s)" + "".join(f"(?=.*{part})" for part in parts))
