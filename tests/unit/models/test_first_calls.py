"""Two threads that make a vector function's first call together: both must get all the digits."""

import subprocess
import sys
from pathlib import Path

import pytest

from headrank.models import decoder, safe_loading
from tests.helpers import tiny_models as tiny

ROOT = Path(__file__).parents[3]
# A process forked before torch has started a thread stands for a new one, without its imports.
STORM = """
import os, sys, torch
from headrank.models.first_calls import settle
torch.set_num_threads(2)
wrong = 0
for _ in range(int(sys.argv[1])):
    child = os.fork()
    if child == 0:
        settle()
        numbers, wrong = torch.linspace(0.1, 20, 168 * 16), 0
        for name in ("sin", "log", "exp", "tanh"):
            first, second = (getattr(torch, name)(numbers) for _ in range(2))
            wrong += not torch.equal(first, second)
        os._exit(wrong)
    wrong += os.waitpid(child, 0)[1] != 0
print(wrong)
"""


@pytest.mark.slow
def test_two_threads_of_a_new_process_compute_what_they_compute_later():
    """Without the first calls 10 to 33 of 1,200 were wrong on free cores, 0 on busy ones."""
    done = subprocess.run(
        [sys.executable, "-c", STORM, "1200"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "0\n"


def test_the_first_calls_come_before_the_weights(monkeypatch):
    order = []
    monkeypatch.setattr(safe_loading, "settle", lambda: order.append("first calls"))
    check = safe_loading.check_weights
    monkeypatch.setattr(
        safe_loading, "check_weights", lambda path: order.append("weights") or check(path)
    )
    decoder.load_model(tiny.folder("llama"), layers=1)
    assert order[:2] == ["first calls", "weights"]
