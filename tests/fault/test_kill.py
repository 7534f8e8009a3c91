"""A run that is killed again and again ends with the bytes of one that never was."""

import itertools
import os
import time

import pytest

from tests.fault.experiment import TARGETS, write
from tests.workflow.running import kill_when, snakemake

pytestmark = pytest.mark.slow

KILLS = 11
# Seconds after a file appeared: before Snakemake recorded it, while the next job starts, and
# while it is at work.
DELAYS = (0, 0.4, 1.2)


def test_eleven_kills_change_no_byte(finished, tmp_path):
    config = write(tmp_path)

    def made() -> int:
        """Return how many files stand under their final names, in folders that do as well."""
        found = 0
        for part in ("results", "resources"):
            # os.walk passes over a folder that a job renames meanwhile; rglob raises.
            for _, folders, names in os.walk(tmp_path / part):
                folders[:] = [n for n in folders if not n.startswith(".") and n != "benchmarks"]
                found += sum(not name.startswith(".") for name in names)
        return found

    moments = []
    for delay in itertools.islice(itertools.cycle(DELAYS), KILLS):
        before, appeared = made(), []

        def ready(before=before, appeared=appeared, delay=delay) -> bool:
            """Return whether a while has passed since the run made something new."""
            if not appeared and made() > before:
                appeared.append(time.monotonic())
            return bool(appeared) and time.monotonic() - appeared[0] >= delay

        # The lock of the killed run has a test of its own.
        kill_when(tmp_path, config, ready, "--nolock", *TARGETS)
        moments.append(made())
    # Each kill met the run further on.
    assert moments == sorted(set(moments))
    assert not (tmp_path / TARGETS[0]).exists()
    result = snakemake(tmp_path, config, "--nolock", *TARGETS)
    assert result.returncode == 0, result.stdout
    names = [
        path.relative_to(finished)
        for part in ("sets", "readings", "profiles", "pairs", "adapters", "runs", "evaluation")
        for path in sorted((finished / "results" / part).rglob("*"))
        if path.is_file()
    ] + [path.relative_to(finished) for path in (finished / "results/tables").rglob("*.*")]
    assert len(names) > 30
    assert {n.suffix for n in names} >= {".run", ".md", ".csv", ".npz", ".safetensors"}
    different = [n for n in names if (finished / n).read_bytes() != (tmp_path / n).read_bytes()]
    assert not different
