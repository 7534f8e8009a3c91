"""Documents read apart against a bare joint prefill of the same list, with and without a store.

python -m benchmarks.apart resources/models/smollm2
python -m benchmarks.apart resources/models/smollm2 --growth --figure growth
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import torch
from transformers import AutoConfig

from benchmarks.cases import Case, compared
from benchmarks.command import arguments, write
from benchmarks.material import bare_model, passages, prefill, some_heads, tokens_of
from headrank.data.candidates import CandidateList
from headrank.data.heads import HeadSet
from headrank.errors import HeadRankError
from headrank.options.prompt import PromptOptions
from headrank.ranker.ranker import HeadRanker
from headrank.reading.document_store import DocumentStore
from headrank.timing.stopwatch import alternate
from headrank.timing.systems import clock

LIMIT = 64 * 10**9  # bytes, above any list that is measured
# The most that each may cost at so many documents, where it is known.
TARGETS = {20: (0.55, 0.03), 100: (0.40, 0.015)}
SIDE_BY_SIDE = 8
"""Lists of stored documents whose queries share a pass."""
GROWTH = (10, 20, 50, 100, 200, 500)


def cases(documents: int) -> dict[str, Case]:
    """Return the cases of one length of lists: task, what it is compared with, the target."""
    block, stored = TARGETS.get(documents, (None, None))
    return {
        "8 heads, joint": ("joint", "bare", None),
        "8 heads, block": ("block", "bare", block),
        "8 heads, block, documents stored": ("stored", "bare", stored),
        "8 heads, block, documents on disk": ("disk", "bare", None),
        f"8 heads, block, documents stored, {SIDE_BY_SIDE} lists side by side": (
            "side by side",
            "bare",
            None,
        ),
    }


class Systems:
    """The rankers that are measured on one list after another."""

    def __init__(
        self, path: str | os.PathLike, heads: HeadSet, folder: Path, dtype: str, device: str
    ) -> None:
        made = {"order": "first-stage", "dtype": dtype, "device": device}
        block = PromptOptions(layout="block")
        stores = {
            "stored": DocumentStore(LIMIT),
            "disk": DocumentStore.open(folder, memory=1, limit=LIMIT),
        }
        self.rankers = {
            # Options of a prompt, not the heads' own: a list that is too long is refused, not cut.
            "joint": HeadRanker.from_pretrained(path, heads, prompt=PromptOptions(), **made),
            "block": HeadRanker.from_pretrained(path, heads, prompt=block, **made),
        }
        for name, store in stores.items():
            self.rankers[name] = HeadRanker.from_pretrained(
                path, heads, prompt=block, store=store, **made
            )

    def tasks(self, candidates: CandidateList) -> dict[str, Callable[[], object]]:
        """Return what ranks a list, by name; its documents are in the stores.

        From disk every file is opened and hashed anew: memory in front of it holds nothing.
        """
        for name in ("stored", "disk"):
            self.rankers[name].store.clear()
            self.rankers[name].encode(candidates.passages)
        return {
            name: lambda ranker=ranker: list(ranker.rerank_lists([candidates]))
            for name, ranker in self.rankers.items()
        }

    def side_by_side(self, lists: Sequence[CandidateList]) -> Callable[[], object]:
        """Return what ranks lists together; their documents are in the store."""
        ranker = self.rankers["stored"]
        for candidates in lists:
            ranker.encode(candidates.passages)
        return lambda: list(ranker.rerank_lists(lists, batch=len(lists)))

    @property
    def megabytes(self) -> float:
        """Return what the documents of the last list take in memory."""
        return self.rankers["stored"].store.bytes / 1e6


def compare(
    path: str | os.PathLike,
    documents: Sequence[int],
    *,
    dtype: str = "bfloat16",
    device: str = "cpu",
    words: int = 70,
    rounds: int = 5,
) -> pd.DataFrame:
    """Return one row a case and length of lists.

    Ratios of seconds (median, lowest, highest), targets, tokens, and megabytes of the documents
    where they are stored.
    """
    bare = bare_model(path, dtype, device=device)
    heads = some_heads(bare.config.num_hidden_layers, bare.config.num_attention_heads)
    tables = []
    with tempfile.TemporaryDirectory() as folder:
        systems = Systems(path, heads, Path(folder), dtype, device)
        for count in documents:
            candidates = passages(count, words)
            ids = tokens_of(systems.rankers["joint"].builder.build(candidates, ("any",)))
            tasks = {"bare": lambda ids=ids: prefill(bare, ids), **systems.tasks(candidates)}
            size = systems.megabytes
            unlike = [passages(count, words, seed) for seed in range(SIDE_BY_SIDE)]
            tasks["side by side"] = systems.side_by_side(unlike)
            times = alternate(tasks, rounds, clock(device))
            times["side by side"] /= SIDE_BY_SIDE
            table = compared(times, cases(count), dtype=dtype, documents=count, tokens=len(ids))
            kept = table["case"].str.contains("stored|disk")
            tables.append(table.assign(megabytes=[size if one else None for one in kept]))
    return pd.concat(tables, ignore_index=True)


def growth(
    path: str | os.PathLike,
    documents: Sequence[int] = GROWTH,
    *,
    dtype: str = "bfloat16",
    device: str = "cpu",
    words: int = 70,
    rounds: int = 3,
) -> pd.DataFrame:
    """Return one row a case and length of lists: seconds (median, lowest, highest), megabytes.

    A list that is longer than the model's context has no joint row.
    """
    shape = AutoConfig.from_pretrained(path, trust_remote_code=False).get_text_config(decoder=True)
    heads = some_heads(shape.num_hidden_layers, shape.num_attention_heads)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        systems = Systems(path, heads, Path(folder), dtype, device)
        for count in documents:
            candidates = passages(count, words)
            tasks = systems.tasks(candidates)
            try:
                systems.rankers["joint"].work(candidates)
            except HeadRankError:
                del tasks["joint"]
            for name, seconds in alternate(tasks, rounds, clock(device)).items():
                rows.append(
                    {
                        "case": name,
                        "documents": count,
                        "tokens": systems.rankers["block"].work(candidates)[1],
                        "rounds": rounds,
                        "seconds": float(pd.Series(seconds).median()),
                        "low": float(seconds.min()),
                        "high": float(seconds.max()),
                        "megabytes": systems.megabytes if name in ("stored", "disk") else None,
                    }
                )
    return pd.DataFrame(rows)


def main() -> None:
    """Run from the command line."""
    parser = arguments(__doc__, dtype=True)
    parser.set_defaults(dtype="bfloat16")
    parser.add_argument("--documents", type=int, nargs="+", metavar="N")
    parser.add_argument("--words", type=int, default=70)
    parser.add_argument(
        "--growth", action="store_true", help="seconds from 10 to 500 documents, not ratios"
    )
    parser.add_argument("--figure", help="stem of a figure of the growth (needs matplotlib)")
    options = parser.parse_args()
    if options.figure and not options.growth:
        parser.error("--figure goes with --growth")
    torch.set_num_threads(options.threads)
    made = {
        "dtype": options.dtype,
        "device": options.device,
        "words": options.words,
        "rounds": options.rounds,
    }
    if options.growth:
        table = growth(options.model, options.documents or GROWTH, **made)
    else:
        table = compare(options.model, options.documents or [20, 100], **made)
    write(table, options.output)
    if options.figure:
        from benchmarks.apart_figure import draw

        draw(table, options.figure)


if __name__ == "__main__":
    main()
