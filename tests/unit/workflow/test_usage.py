"""How large the parts of an experiment are by its config alone: documents, queries, shards."""

from copy import deepcopy

import pytest

from headrank.workflow.config.checks import configure, cross_problems, form_problems
from headrank.workflow.config.usage import (
    expected_documents,
    expected_queries,
    shards,
    split_method,
)
from tests.helpers.base_config import BASE, message


def test_candidates_alone_are_counted_and_need_a_run():
    config = deepcopy(BASE)
    source = {"kind": "ir_datasets", "id": "x", "documents": "candidates", "candidates": True}
    source["expect"] = {"queries": 3, "judgments": 50}
    config["collections"]["lee"]["source"] = source
    form_problems(config)
    assert expected_documents(config, "lee") == 3 * config["first_stage"]["depth"]
    source["depth"] = 20
    assert expected_documents(config, "lee") == 3 * 20
    source["documents"] = "judged+scored"
    assert expected_documents(config, "lee") == 50 + 3 * 20
    source |= {"documents": "candidates", "candidates": False}
    text = message(config)
    assert "lee.source.documents is 'candidates'; allowed with candidates: true alone" in text
    assert "lee.source.depth is 20; allowed with candidates: true alone" in text


@pytest.mark.parametrize(
    "take, skip, pinned, size, jobs",
    [
        (45, 0, None, 45, 5),
        (40, 0, None, 40, 4),
        (None, 0, 41, 41, 5),
        (None, 5, 41, 36, 4),
        (30, 20, 41, 21, 3),
        (None, 0, None, None, None),
    ],
)
def test_sets_are_split_by_the_tokens_that_the_config_tells(take, skip, pinned, size, jobs):
    """A list has 20 documents of 80 + 8 tokens and 100 for the rest: ten lists fit a shard."""
    config = deepcopy(BASE)
    configure(config)
    assert shards(config, "lee") == 2
    config["candidates"], config["prompt"]["document_tokens"] = 20, 80
    config["reading"] |= {"shards": 1, "tokens_per_shard": 10 * (20 * 88 + 100) + 1859}
    source = {"kind": "ir_datasets", "id": "beir/lee"}
    source |= {} if pinned is None else {"expect": {"queries": pinned}}
    config["collections"]["lee"]["source"] = source
    config["sets"]["lee"] |= {"take": take, "skip": skip}
    assert expected_queries(config, "lee") == size
    found = list(cross_problems(config))
    if jobs is None:
        assert found == [
            "sets.lee.take is null; allowed with reading.tokens_per_shard: a whole number, or a "
            "source whose `expect.queries` tells how many there are"
        ]
    else:
        assert (found, shards(config, "lee")) == ([], jobs)


def test_a_list_longer_than_a_shard_is_a_job_of_its_own():
    config = deepcopy(BASE)
    configure(config)
    config["prompt"]["document_tokens"] = 80
    config["reading"] |= {"shards": 1, "tokens_per_shard": 1000}
    config["sets"]["lee"]["take"] = 7
    assert (list(cross_problems(config)), shards(config, "lee")) == ([], 7)
    # Guesses of the estimate change no shard: a better one would read every set again.
    config["estimate"] |= {"marker_tokens": 1, "prompt_tokens": 1, "document_tokens": 1}
    assert shards(config, "lee") == 7
    config["prompt"].pop("document_tokens")
    assert list(cross_problems(config)) == [
        "prompt.document_tokens is null; allowed with reading.tokens_per_shard: a whole number, "
        "since nothing else bounds a document before it is fetched"
    ]
    config["reading"] |= {"shards": 3}
    assert next(cross_problems(config)) == "reading.shards is 3; allowed beside tokens_per_shard: 1"


def test_split_method():
    assert split_method("core") == ("core", None)
    assert split_method("core+bm25") == ("core", "bm25")
