"""Time, memory and disk of BM25 against the number of passages, by the workflow's own code.

python -m benchmarks.bm25 100000 300000 1000000
"""

from __future__ import annotations

import argparse
import json
import runpy
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.command import write
from headrank.collections.collection import load_queries, save_collection
from headrank.collections.layout import Document, Query
from headrank.collections.parts import Parts
from headrank.data.trec import Qrels
from headrank.errors import HeadRankError
from headrank.first_stage.bm25 import Bm25Index
from headrank.first_stage.lucene_analyzer import ENGLISH, STOPWORDS

ROOT = Path(__file__).resolve().parents[1]
MS_MARCO = 8_841_823
"""Passages of MS MARCO v1, to which the measured sizes are extended."""

LIMIT = 16_000  # megabytes
VOCABULARY = 3_000_000
"""Distinct words to draw from; MS MARCO's passages hold 2.7 million terms."""

WORDS, DEPTH, QUERIES = 55, 100, 100
"""Words of a passage on average, documents of a ranking, queries of a measurement."""

TASKS = ("index", "search")
_SYLLABLES = [first + second for first in "bdfgkmnprtvz" for second in "aou"]
_CHUNK = 10_000


def made_up(passages: int, seed: int = 13, vocabulary: int = VOCABULARY) -> Iterator[Document]:
    """Yield passages of about 55 words whose frequencies follow Zipf's law.

    The most frequent words are Lucene's stopwords, which are a quarter of the text; every
    other word is a term of its own. Lengths are normal (deviation 20, at least 6 words).
    """
    generator = np.random.default_rng(seed)
    words = np.array(
        [*sorted(STOPWORDS), *(_word(number) for number in range(vocabulary))], dtype=object
    )
    heights = np.cumsum(1 / np.arange(1, len(words) + 1))
    for start in range(0, passages, _CHUNK):
        count = min(_CHUNK, passages - start)
        lengths = np.maximum(generator.normal(WORDS, 20, count).round().astype(int), 6)
        drawn = words[np.searchsorted(heights, generator.random(lengths.sum()) * heights[-1])]
        for number, text in enumerate(np.split(drawn, np.cumsum(lengths)[:-1]), start):
            yield Document(str(number), "", " ".join(text))


def measure(passages: int, *, seed: int = 13, vocabulary: int = VOCABULARY) -> dict[str, float]:
    """Return what one collection takes: to index, and to rank 100 queries at depth 100.

    Columns: passages, terms (distinct), postings, corpus_megabytes; CPU seconds and peak
    resident megabytes of indexing and of searching (loaded index; seconds of the search
    alone), each in a process of its own; index_megabytes on disk.
    """
    with tempfile.TemporaryDirectory(prefix="bm25-") as temporary:
        folder = Path(temporary)
        _save(folder / "collection", passages, seed, vocabulary)
        taken = {task: _in_own_process(task, folder) for task in TASKS}
        index = folder / "index"
        counts = json.loads((index / "index.json").read_text())
        return {
            "passages": passages,
            "terms": counts["terms"],
            "postings": counts["postings"],
            "corpus_megabytes": (folder / "collection/corpus.jsonl").stat().st_size / 1e6,
            "index_seconds": taken["index"]["seconds"],
            "index_peak_megabytes": taken["index"]["megabytes"],
            "index_megabytes": sum(path.stat().st_size for path in index.iterdir()) / 1e6,
            "search_seconds": taken["search"]["seconds"] * QUERIES / min(QUERIES, passages),
            "search_peak_megabytes": taken["search"]["megabytes"],
        }


def extended(table: pd.DataFrame, passages: int = MS_MARCO) -> pd.Series:
    """Return each column at so many passages, by the line of least squares through the sizes.

    Not the number of terms, which does not grow in a line.

    Raises:
        HeadRankError: fewer than two different sizes.
    """
    sizes = table["passages"].to_numpy(float)
    if len(set(sizes)) < 2:
        raise HeadRankError(
            f"a line needs two different numbers of passages, got {sorted(set(sizes))}; name more"
        )
    lines = {
        column: np.polyval(np.polyfit(sizes, table[column].to_numpy(float), 1), passages)
        for column in table.columns.drop("terms")
    }
    return pd.Series(lines)


def warning(line: pd.Series, limit: float = LIMIT) -> str | None:
    """Return what to say of a peak above the limit, else None."""
    peak = max(line["index_peak_megabytes"], line["search_peak_megabytes"])
    if peak <= limit:
        return None
    return (
        f"WARNING: {peak:,.0f} MB at {line['passages']:,.0f} passages are more than {limit:,.0f}; "
        "take a machine with more memory, or import a run"
    )


def run(task: str, folder: Path) -> float:
    """Do one task as the workflow's jobs do; return its CPU seconds."""
    collection, index = folder / "collection", folder / "index"
    if task == "index":
        build = runpy.run_path(str(ROOT / "workflow/scripts/build_index.py"))["main"]
        return _seconds(lambda: build(collection, index, 0.9, 0.4, ENGLISH))
    queries = {name: query.text for name, query in load_queries(collection).items()}
    loaded = Bm25Index.load(index)
    # The first search compiles.
    loaded.search(dict([next(iter(queries.items()))]), DEPTH, progress=False)
    return _seconds(lambda: loaded.search(queries, DEPTH, progress=False))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run from the command line; with ``--task`` in the process that is measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("passages", type=int, nargs="*", help="sizes, two or more")
    parser.add_argument("--output", help="CSV; default: a table on stdout")
    parser.add_argument("--vocabulary", type=int, default=VOCABULARY)
    parser.add_argument("--task", choices=TASKS, help="do one task in --folder, print its cost")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args(arguments)
    if options.task is not None:
        seconds = run(options.task, options.folder)
        print(json.dumps({"seconds": seconds, "megabytes": _peak()}))
        return
    if len(set(options.passages)) < 2 or min(options.passages) < 1:
        parser.error(f"name two or more sizes of at least 1 passage, got {options.passages}")
    rows = []
    for passages in options.passages:
        rows.append(measure(passages, vocabulary=options.vocabulary))
        print(json.dumps(rows[-1]), file=sys.stderr)
    table = pd.DataFrame(rows)
    write(table.round(3), options.output)
    line = extended(table)
    print(f"\nA line through these sizes at {MS_MARCO:,} passages:")
    print(line.round(1).to_string())
    if told := warning(line):
        print(told)


def _word(number: int) -> str:
    """Return a word of syllables that no stemmer cuts, short for small numbers."""
    parts = []
    while number >= 0:
        number, place = divmod(number, len(_SYLLABLES))
        parts.append(_SYLLABLES[place])
        number -= 1
    return "".join(parts)


def _save(folder: Path, passages: int, seed: int, vocabulary: int) -> None:
    """Write the collection; each query is the beginning of one of the first passages."""
    queries: list[Query] = []

    def noted() -> Iterator[Document]:
        for document in made_up(passages, seed, vocabulary):
            if len(queries) < QUERIES:
                text = " ".join(document.text.split()[:6])
                queries.append(Query(f"q{document.doc_id}", text, "test"))
            yield document

    judged = Qrels({f"q{number}": {str(number): 1} for number in range(min(QUERIES, passages))})
    save_collection(folder, Parts(noted(), queries, judged, {"kind": "made up", "seed": seed}))


def _in_own_process(task: str, folder: Path) -> dict[str, float]:
    """Return CPU seconds and peak megabytes of one task."""
    command = [sys.executable, "-m", "benchmarks.bm25", "--task", task, "--folder", str(folder)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if result.returncode:
        raise HeadRankError(
            f"{task} of {folder} ended with {result.returncode}: {result.stderr[-2000:]}"
        )
    return json.loads(result.stdout.splitlines()[-1])


def _seconds(task: Callable[[], object]) -> float:
    """Return the CPU seconds of all threads that a call takes."""
    start = time.process_time()
    task()
    return time.process_time() - start


def _peak() -> float:
    """Return this process's peak resident megabytes.

    Linux's ru_maxrss would be no less than the peak of the process that started this one.
    """
    (line,) = (
        line for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line
    )
    return int(line.split()[1]) * 1024 / 1e6


if __name__ == "__main__":
    main()
