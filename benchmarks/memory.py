"""Peak resident memory of a prefill and of readings, each in a process of its own.

python -m benchmarks.memory resources/models/smollm2
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pandas as pd

from benchmarks.command import arguments, write

TARGET = 1.3  # times the bare prefill's
TASKS = ("bare", "all heads", "all heads, calibrated", "8 heads")


def peaks(
    path: str | os.PathLike,
    *,
    dtype: str = "float32",
    documents: int = 20,
    words: int = 100,
    threads: int = 1,
) -> pd.DataFrame:
    """Return one row a task: peak megabytes, and their ratio to the bare prefill's."""
    found = {
        task: _peak(path, task, dtype=dtype, documents=documents, words=words, threads=threads)
        for task in TASKS
    }
    return pd.DataFrame(
        [
            {
                "case": f"memory, {task}",
                "dtype": dtype,
                "documents": documents,
                "megabytes": found[task],
                "ratio": found[task] / found["bare"],
                "target": TARGET if task.startswith("all heads") else None,
            }
            for task in TASKS
        ]
    )


def _peak(path: str | os.PathLike, task: str, **settings: object) -> float:
    """Return the megabytes that one task takes in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.memory", str(Path(path).resolve())]
    command += ["--task", task, "--settings", json.dumps(settings)]
    root = Path(__file__).resolve().parents[1]
    result = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True)
    return float(result.stdout.splitlines()[-1])


def run(path: str, task: str, *, dtype: str, documents: int, words: int, threads: int) -> None:
    """Load what one task needs and do it once."""
    import torch

    from benchmarks.material import bare_model, passages, prefill, some_heads, tokens_of
    from headrank.models.decoder import load_model
    from headrank.options.prompt import PromptOptions
    from headrank.ranker.ranker import HeadRanker
    from headrank.reading.lists import read_list
    from headrank.reading.prompt import PromptBuilder
    from headrank.reading.recording import ReadOptions

    torch.set_num_threads(threads)
    candidates = passages(documents, words)
    if task == "bare":
        from transformers import AutoTokenizer

        model = bare_model(path, dtype)
        builder = PromptBuilder(
            AutoTokenizer.from_pretrained(path, trust_remote_code=False), PromptOptions()
        )
        prefill(model, tokens_of(builder.build(candidates, (candidates.query,))))
    elif task == "8 heads":
        config = json.loads((Path(path) / "config.json").read_text())
        heads = some_heads(config["num_hidden_layers"], config["num_attention_heads"])
        ranker = HeadRanker.from_pretrained(
            path, heads, prompt=PromptOptions(), order="first-stage", dtype=dtype
        )
        list(ranker.rerank_lists([candidates]))
    else:
        model = load_model(path, dtype=dtype)
        builder = PromptBuilder(model.tokenizer, PromptOptions(), model.context)
        read_list(model, builder, candidates, ReadOptions(calibrate=task.endswith("calibrated")))


def main() -> None:
    """Run from the command line; with ``--task`` in the process that is measured."""
    parser = arguments(__doc__, dtype=True)
    parser.add_argument("--task", choices=TASKS, help="do one task and print its peak")
    parser.add_argument("--settings", type=json.loads)
    options = parser.parse_args()
    if options.task is not None:
        run(options.model, options.task, **options.settings)
        # Linux counts in kilobytes.
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return
    write(peaks(options.model, dtype=options.dtype, threads=options.threads), options.output)


if __name__ == "__main__":
    main()
