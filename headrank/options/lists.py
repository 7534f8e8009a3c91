"""How candidate lists are sampled and ordered: what the config may say of them."""

from __future__ import annotations

import re
from typing import Literal, get_args

Pool = Literal["judged", "rerankable"]
POOLS = get_args(Pool)
ORDER = re.compile(r"first-stage|reversed|shuffled(-[0-9]+)?")
