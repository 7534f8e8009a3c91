"""Files of the future are refused; the clocks of a cluster may differ a little."""

import os

import pytest

from headrank.workflow.provenance.future_files import TOLERANCE, check_clock
from tests.helpers.expected_errors import refused

NOW = 1_700_000_000.0


@pytest.mark.parametrize("ahead", [-86400, 0, TOLERANCE - 1])
def test_times_within_the_tolerance_pass(tmp_path, ahead):
    (tmp_path / "a.run").write_text("x")
    os.utime(tmp_path / "a.run", (NOW + ahead, NOW + ahead))
    check_clock([tmp_path, tmp_path / "not-there"], now=NOW)


def test_a_file_of_the_future_is_named_with_both_times(tmp_path):
    (tmp_path / "runs").mkdir()
    for name in ("b.run", "a.run", "old.run"):
        (tmp_path / "runs" / name).write_text("x")
        ahead = 0 if name == "old.run" else 86400
        os.utime(tmp_path / "runs" / name, (NOW + ahead, NOW + ahead))
    with refused("runs/a.run", "2023-11-15T22:13:20Z", "2023-11-14T22:13:20Z", "1 files more"):
        check_clock([tmp_path], now=NOW)
