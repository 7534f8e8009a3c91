"""Scores of the published ICR, QRHead and CoRe code on the same prompts, spans and rows.

Needs the recorded scores beside the repository (``../shared/goldens``) and the converted
SmolLM2-135M, which the demo's workflow makes (``resources/models/smollm2``). To use one
that lies elsewhere, name its folder in the environment variable HEADRANK_MODEL.
"""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from headrank.heads.fold import fold
from headrank.models.decoder import load_model
from headrank.options.fold import Fold
from headrank.reading.prefill import read_prompt
from headrank.reading.prompt_tokens import Prompt, Suffix
from headrank.reading.readings import ListReading
from headrank.reading.recording import Recording

ROOT = Path(__file__).parents[2]
SCORES = ROOT.parent / "shared" / "goldens" / "peer_scores_smollm2.json"
MODEL = Path(os.environ.get("HEADRANK_MODEL", ROOT / "resources" / "models" / "smollm2"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not SCORES.is_file(), reason=f"{SCORES} is absent"),
    pytest.mark.skipif(
        not (MODEL / "config.json").is_file(),
        reason=f"{MODEL} is absent: run the demo's workflow, or set HEADRANK_MODEL",
    ),
]
CASES = json.loads(SCORES.read_text())["cases"] if SCORES.is_file() else []


@pytest.fixture(scope="module")
def model():
    return load_model(MODEL)


def recorded_prompt(tokenizer, case) -> Prompt:
    """Return the case's own prompt, cut before the first row it reads; N/A is the second query."""
    assert case["prompt"].count(case["query"]) == 1
    texts = case["prompt"], case["prompt"].replace(case["query"], "N/A")
    query, blank = (tokenizer.encode(text, add_special_tokens=False) for text in texts)
    assert len(query) == case["n_tokens"]
    first, last = case["query_rows_first_last"]
    assert query[:first] == blank[:first]
    # What follows the last row is the same in both.
    after = len(query) - 1 - last
    suffixes = tuple(
        Suffix(tuple(ids[first:]), (0, len(ids) - after - first)) for ids in (query, blank)
    )
    return Prompt(tuple(query[:first]), tuple(map(tuple, case["spans"])), suffixes)


@pytest.mark.parametrize(
    "case", CASES, ids=[f"{c['implementation']}-{c['query'].split()[0]}" for c in CASES]
)
def test_scores_equal_the_published_implementations(model, case):
    prompt = recorded_prompt(model.tokenizer, case)
    query, blank = read_prompt(model, prompt, Recording(keep_tokens=True))
    difference = query.tokens - blank.tokens
    ends = np.cumsum([stop - start for start, stop in prompt.spans])
    starts = np.concatenate([[0], ends[:-1]])
    reading = ListReading(
        query_id="q",
        doc_ids=tuple(str(number) for number in range(len(prompt.spans))),
        query=query.documents,
        calibration=blank.documents,
        spans=np.stack([starts, ends], axis=1),
        contrast=difference.sum((0, 1), dtype=np.float64).astype(np.float32),
    )
    assert case["heads"] == "all"
    scores = fold(reading, None, Fold(calibrate=True, outliers=True))
    np.testing.assert_allclose(scores, case["scores"], rtol=1e-4)
