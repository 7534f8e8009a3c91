"""A grid of 10,000 jobs is planned whole; benchmarks/planning.py measures what it costs."""

import pytest
import yaml

from benchmarks.planning import QUERIES, SHARDS, made_up, plan
from tests.workflow.running import planned


def expected(config):
    """Return the jobs of the rules that grow with the grid, counted from its YAML."""
    sets, models = (len(config["experiment"][part]) for part in ("sets", "models"))
    orders, seeds = len(config["orders"]), len(config["alignments"]["own"]["seeds"])
    cells = sets * models * orders
    return {
        "collection": sets,
        "index": sets,
        # The first collection's other splits, of which one selects heads and two train.
        "retrieve": sets + 3,
        "query_set": sets + 3,
        "model": models,
        "read": cells * SHARDS * (1 + seeds) + models,
        "rank_truncated": cells * SHARDS,
        "join_run": cells,
        # All heads, selected heads, and those of each adapter; the latter two are fused, too.
        "rank_by_attention": cells * (2 + seeds),
        "fuse": cells * (1 + seeds),
        "generate": sets * models * SHARDS,
        "rank_by_generation": cells,
        "rank_by_first_stage": sets,
        "rank_at_random": sets,
        "describe_runs": sets,
        "align": models * seeds,
        "evaluate": 1,
        "manifest": 1,
    }


@pytest.mark.slow
def test_ten_thousand_jobs_are_planned(tmp_path):
    path = made_up(tmp_path, sets=44)
    config = yaml.safe_load(path.read_text())
    assert config["sets"]["collection-43"]["take"] == QUERIES
    jobs = planned(tmp_path, path)
    counted = expected(config)
    assert {rule: jobs[rule] for rule in counted} == counted
    assert sum(jobs.values()) >= 10_000


@pytest.mark.slow
def test_what_is_measured_is_the_plan(tmp_path):
    path = made_up(tmp_path, sets=1, models=1)
    found = plan([path], tmp_path)
    # The target `all` is a job of the dry run's own count.
    assert found["jobs"] == sum(planned(tmp_path, path).values()) + 1
    assert 0 < found["cpu_seconds"] < 2 * found["wall_seconds"]
