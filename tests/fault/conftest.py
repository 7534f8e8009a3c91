"""One undisturbed run that several faults are compared with."""

import pytest

from tests.fault.experiment import TARGETS, write
from tests.workflow.running import snakemake


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """Return the folder of a run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    result = snakemake(folder, write(folder), *TARGETS)
    assert result.returncode == 0, result.stdout
    return folder
