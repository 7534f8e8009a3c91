"""Readings and alignment on a GPU against a bare prefill, in shares of the card's peak.

python -m benchmarks.gpu --output gpu.csv

Needs torch, transformers, peft, numpy and pandas, and no file: weights are random, in the real
shapes of Qwen3, and so are the tokens. Rows are appended as they are measured, and those that the
file holds already for this card are kept: a run that was stopped goes on. With ``--device cpu
--tiny`` the same code runs in seconds, for a look at it.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from benchmarks.flops import peak_of
from benchmarks.gpu_tasks import DEEP, FULL, Bench, Settings, Task
from benchmarks.made import SHAPES, Lengths
from headrank.errors import HeadRankError
from headrank.io.files import atomic
from headrank.models.devices import OutOfMemory
from headrank.timing.stopwatch import alternate
from headrank.timing.systems import clock

KEY = ["card", "model", "dtype", "kernels", "documents", "batch", "case"]
TINY = Lengths(prefix=4, document=12, marker=2, separator=1, suffix=8, rows=3)


def measure(
    tasks: dict[str, Task], settings: Settings, about: dict, peak: float | None
) -> list[dict]:
    """Return one row a task; those that do not fit the card's memory say so and have no time."""
    rows, fitting = {}, {}
    now = clock(settings.device)
    longest = 0.0
    for name, task in tasks.items():
        row = about | {"batch": task.lists, "case": name, "tokens": float(task.tokens)}
        row["note"] = ""
        row["tflop"] = task.flops / task.lists / 1e12
        rows[name] = row
        try:
            row |= _memory(task, settings.device)
            start = now()
            task.run()
            longest = max(longest, now() - start)
            fitting[name] = task
        except (torch.OutOfMemoryError, OutOfMemory):
            row["note"] = "out of memory"
        if name not in fitting:
            # Only here: while the error is handled, it holds the memory of the pass.
            torch.cuda.empty_cache()
    rounds = min(settings.rounds, max(3, int(settings.seconds / max(longest, 1e-9))))
    times = alternate({name: task.run for name, task in fitting.items()}, rounds, now)
    for name, taken in times.items():
        row, lists = rows[name], taken / tasks[name].lists
        row["rounds"] = rounds
        row["ms"] = 1e3 * float(np.median(lists))
        row["ms_low"], row["ms_high"] = 1e3 * float(lists.min()), 1e3 * float(lists.max())
        row["documents_per_second"] = about["documents"] / (row["ms"] / 1e3)
        row["tflops_per_second"] = row["tflop"] / (row["ms"] / 1e3)
        row["percent_of_peak"] = None if peak is None else 100 * row["tflops_per_second"] / peak
        for column, reference in (("ratio_full", FULL), ("ratio_as_deep", DEEP)):
            if reference in times:
                alone = times[reference] / tasks[reference].lists
                row[column] = float(np.median(lists / alone))
    return list(rows.values())


def _memory(task: Task, device: str) -> dict[str, float]:
    """Run the task once; return GB held before and at its peak on a GPU, nothing on a CPU."""
    if not device.startswith("cuda"):
        task.run()
        return {}
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    held = torch.cuda.memory_allocated() / 1e9
    task.run()
    torch.cuda.synchronize()
    return {"held_gb": held, "peak_gb": torch.cuda.max_memory_allocated() / 1e9}


def groups(
    model: str, documents: tuple[int, ...], settings: Settings
) -> Iterator[tuple[int, int, Callable[[], dict[str, Task]]]]:
    """Yield documents a list, lists a batch, and what makes the tasks measured side by side."""
    made: list[Bench] = []

    def bench() -> Bench:
        # Not before a group that is measured asks for it.
        if not made:
            made.append(Bench(model, settings))
        return made[0]

    for count in documents:
        for batch in settings.batches:
            yield count, batch, lambda count=count, batch=batch: bench().tasks(count, batch)
        if count in settings.training:

            def step(count: int = count) -> dict[str, Task]:
                reference = bench().tasks(count, 1)
                return {name: reference[name] for name in (FULL, DEEP)} | bench().training(count)

            yield count, 0, step


def profile(tasks: dict[str, Task], folder: Path, stem: str, device: str) -> None:
    """Write where each task's time goes, one text file a task: the 40 dearest operations."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    if device.startswith("cuda"):
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    order = "self_device_time_total" if len(activities) > 1 else "self_cpu_time_total"
    folder.mkdir(parents=True, exist_ok=True)
    for number, (name, task) in enumerate(tasks.items()):
        task.run()
        with torch.profiler.profile(activities=activities) as taken:
            task.run()
            if len(activities) > 1:
                torch.cuda.synchronize()
        table = taken.key_averages().table(sort_by=order, row_limit=40)
        path = folder / f"{stem}-{number}.txt"
        path.write_text(f"{stem}: {name}\n{table}\n", encoding="utf-8")


def run(
    models: tuple[str, ...],
    documents: tuple[int, ...],
    settings: Settings,
    output: Path,
    *,
    peak: float | None = None,
    profiles: Path | None = None,
    limit: float | None = None,
) -> pd.DataFrame:
    """Measure what the file does not hold yet, append it, and return the whole table.

    Args:
        peak: TFLOP/s of the device; by default the known one of a GPU, and none of a CPU.
        profiles: folder of the profiler's tables; None profiles nothing.
        limit: seconds after which no further group is begun.

    Raises:
        HeadRankError: a GPU whose peak is not known, or a file of other columns.
    """
    start = time.perf_counter()
    card = card_name(settings.device)
    if settings.device.startswith("cuda") or peak is not None:
        peak = peak_of(card, peak)
    kernels = "all" if torch.backends.cuda.cudnn_sdp_enabled() else "no cuDNN"
    table = kept(output)
    measured = 0
    for model in models:
        for count, batch, make in groups(model, documents, settings):
            about = {"card": card, "model": model, "dtype": settings.dtype}
            about |= {"kernels": kernels, "documents": count}
            # Batch 0 stands for training; its bare prefills are measured beside it once more.
            step = batch == 0
            if done(table, about | {"batch": max(batch, 1)}, training=step):
                continue
            # One group at least, or a run in short slices would never end.
            if measured and limit is not None and time.perf_counter() - start > limit:
                print(f"stopped after {limit:g} s; run again to go on", file=sys.stderr)
                return table
            measured += 1
            tasks = make()
            rows = measure(tasks, settings, about, peak)
            fitting = {row["case"]: tasks[row["case"]] for row in rows if not row["note"]}
            if step:
                rows = [row for row in rows if row["case"] not in (FULL, DEEP)]
            table = append(table, rows, output)
            if profiles is not None:
                kind = "training" if step else f"batch-{batch}"
                profile(fitting, profiles, f"{model}-{count}-{kind}", settings.device)
            print(pd.DataFrame(rows).to_string(index=False), flush=True)
            # They hold the decoders: the next model's would stand beside them.
            del tasks, fitting
            torch.cuda.empty_cache()
    return table


def card_name(device: str) -> str:
    """Return torch's name of the GPU, or the processor's architecture."""
    if device.startswith("cuda"):
        if not torch.cuda.is_available():
            raise HeadRankError(f"device {device!r}: torch sees no GPU; use --device cpu --tiny")
        return torch.cuda.get_device_name(device)
    return f"cpu {platform.machine()}"


def kept(output: Path) -> pd.DataFrame:
    """Return the rows that an earlier run wrote."""
    if not output.exists():
        return pd.DataFrame(columns=KEY)
    table = pd.read_csv(output)
    if missing := set(KEY) - set(table.columns):
        raise HeadRankError(
            f"{output}: no table of this benchmark (no column {', '.join(sorted(missing))}); name "
            "another file"
        )
    return table


def done(table: pd.DataFrame, group: dict, *, training: bool) -> bool:
    """Return whether the table holds this group of tasks."""
    if table.empty:
        return False
    same = np.ones(len(table), dtype=bool)
    for name, value in group.items():
        same &= (table[name] == value).to_numpy()
    trained = table["case"].str.startswith("training").to_numpy()
    return bool((same & (trained if training else ~trained)).any())


def append(table: pd.DataFrame, rows: list[dict], output: Path) -> pd.DataFrame:
    """Return the table with the rows, written as a whole."""
    new = pd.DataFrame(rows)
    table = new if table.empty else pd.concat([table, new], ignore_index=True)
    with atomic(output) as temporary:
        table.to_csv(temporary, index=False)
    return table


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("gpu.csv"), help="CSV; appended to")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dtype", default="bfloat16", choices=["bfloat16", "float32"])
    parser.add_argument(
        "--models",
        nargs="+",
        default=["qwen3-0.6b", "qwen3-1.7b", "qwen3-4b"],
        choices=list(SHAPES),
        metavar="NAME",
        help="shapes (default: %(default)s)",
    )
    parser.add_argument("--documents", type=int, nargs="+", default=[40, 100], metavar="N")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4, 16], metavar="N")
    parser.add_argument(
        "--training", type=int, nargs="*", default=[40], metavar="N", help="documents of a step"
    )
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument(
        "--peak", type=float, help="TFLOP/s of dense bfloat16, for a card that is not known"
    )
    parser.add_argument("--profile", type=Path, metavar="FOLDER", help="also write profiles there")
    parser.add_argument(
        "--no-cudnn",
        action="store_true",
        help="keep cuDNN's attention out: it plans anew for each new length of a list",
    )
    parser.add_argument("--limit", type=float, help="begin no group after so many seconds")
    parser.add_argument("--figure", type=Path, help="stem of a figure (needs matplotlib)")
    parser.add_argument("--tiny", action="store_true", help="a tiny shape, to try the script")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Run from the command line."""
    options = parse(arguments)
    models, documents = tuple(options.models), tuple(options.documents)
    lengths = Lengths()
    if options.tiny:
        models, documents, lengths = ("tiny",), (4, 6), TINY
        options.batches, options.training, options.rounds = [1, 2], [4], 2
    settings = Settings(
        device=options.device,
        dtype=options.dtype,
        lengths=lengths,
        batches=tuple(options.batches),
        training=tuple(options.training),
        rounds=options.rounds,
    )
    if options.no_cudnn:
        torch.backends.cuda.enable_cudnn_sdp(False)
    try:
        table = run(
            models,
            documents,
            settings,
            options.output,
            peak=options.peak,
            profiles=options.profile,
            limit=options.limit,
        )
        if options.figure is not None:
            from benchmarks.gpu_figure import draw

            draw(table, options.figure)
    except HeadRankError as error:
        raise SystemExit(f"error: {error}") from None


if __name__ == "__main__":
    main()
