"""The config that tests change, and what is said of a broken one."""

from copy import deepcopy
from pathlib import Path

import pytest
import yaml

from headrank.errors import HeadRankError
from headrank.workflow.config.checks import configure

ROOT = Path(__file__).parents[2]
BASE = yaml.safe_load(Path(__file__).with_name("experiment.yaml").read_text())


def changed(path, value):
    """Return the config with one key set (or removed, by None)."""
    config = deepcopy(BASE)
    *parents, key = path.split("/")
    place = config
    for name in parents:
        place = place[int(name)] if isinstance(place, list) else place[name]
    if value is None:
        del place[key]
    else:
        place[key] = value
    return config


def message(config):
    with pytest.raises(HeadRankError) as caught:
        configure(config)
    return str(caught.value)


def ask(protocol, **settings):
    """Return a generative method."""
    return {"kind": "generative", "protocol": protocol, **settings}
