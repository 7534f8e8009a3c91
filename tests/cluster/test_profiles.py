"""What the profiles of every kind of cluster have in common."""

import pytest
import yaml

from tests.workflow.running import ROOT

CLUSTERS = ("slurm", "kubernetes")


def profile(name: str) -> dict:
    return yaml.safe_load((ROOT / "profiles" / name / "config.yaml").read_text())


@pytest.mark.parametrize("name", CLUSTERS)
def test_a_profile_keeps_the_default_s_settings(name):
    default = profile("default")
    # One machine bounds its cores and GPUs; a cluster has its own queue for them.
    default.pop("resources")
    default.pop("cores")
    assert default.items() <= profile(name).items()
    assert profile(name)["retries"] >= 1


@pytest.mark.parametrize("name", CLUSTERS)
def test_every_line_of_a_profile_is_explained(name):
    """Each top-level key has a comment above it, or above the block that it stands in."""
    above = ""
    for line in (ROOT / "profiles" / name / "config.yaml").read_text().splitlines():
        if line and not line.startswith((" ", "#")):
            assert above.startswith("#"), f"no comment on {line}"
        # A key right below another shares its comment.
        if line.startswith("#") or not line:
            above = line
