"""What every test may use."""

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the repository's folder."""
    return ROOT


@pytest.fixture(autouse=True)
def number_of_threads() -> Iterator[None]:
    """Give torch the threads back that a test leaves: a job of the workflow sets its own number.

    Another number changes the last digits of a score, and so what a later test compares.
    """
    torch = sys.modules.get("torch")
    before = torch and torch.get_num_threads()
    yield
    if before:
        torch.set_num_threads(before)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the modules with most slow tests begin, so that the end of a run is short ones."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])
