"""Alignment training: preference pairs into the attention of the selected heads."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from headrank import __version__
from headrank.align import adapter as adapters
from headrank.align import documents
from headrank.align.checkpoint import Checkpoint
from headrank.align.fingerprint import fingerprint, settings
from headrank.align.forward import HeadReader
from headrank.align.loop import Training, TrainingData, trained_readers
from headrank.align.options import AlignOptions
from headrank.align.places import Folders
from headrank.errors import HeadRankError
from headrank.io.folders import ADAPTER, atomic_dir
from headrank.reading.layout import check_heads

logger = logging.getLogger(__name__)


def check_step(queries: int, options: AlignOptions) -> None:
    """Refuse fewer training queries than a step takes.

    Raises:
        HeadRankError: names both.
    """
    if queries < options.batch:
        raise HeadRankError(
            f"{queries} training queries have pairs, fewer than one step takes (batch "
            f"{options.batch}); give more labelled queries, or lower batch"
        )


def align(
    reader: HeadReader,
    data: TrainingData,
    folders: Folders,
    *,
    options: AlignOptions,
    seed: int,
    provenance: dict | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Train an adapter, write it to its folder and return the validation table.

    The folder holds peft's files of the best epoch, ``heads.json``, ``headrank.json``
    (what it belongs to), ``training.csv`` (a row a step) and ``validation.csv`` (a row an
    epoch; epoch 0 is the unaligned model, and is kept with a warning if it is the best).

    Args:
        reader: the heads that are trained; its model is changed in place.
        provenance: noted on the card; its ``code``, a digest of the modules, must also be a
            checkpoint's.

    Raises:
        HeadRankError: heads of another model, pairs of other lists or judgments, fewer lists
            than one step takes, a list that does not fit the context, training that
            diverges, a checkpoint of other settings, data, code or packages, or folders that
            `Folders.check` refuses.
    """
    folders.check()
    check_heads(reader.heads, reader.layout)
    check_step(len(data.matched), options)
    if options.tokens == "query":
        documents.check_layout(reader.layout, options.both_layouts)
    for one in trained_readers(reader, options):
        one.check(candidates for candidates, _ in data.matched)
    reader.check(data.validation.lists, seed)
    store = state = None
    if folders.checkpoint is not None:
        judged = (data.training, data.validation)
        made = settings(reader, judged, options, seed, (provenance or {}).get("code"))
        store = Checkpoint(Path(folders.checkpoint), fingerprint(made, data.pairs))
        state = store.load()
    wrapped = adapters.add_adapter(
        reader.model,
        reader.heads,
        rank=options.rank,
        alpha=options.alpha,
        dropout=options.dropout,
        projections=options.projections,
        seed=seed,
    )
    with contextlib.ExitStack() as stack:
        if options.tokens == "query":
            adapters.leave_documents(reader.model)
            lists = [candidates for candidates, _ in data.matched] + list(data.validation.lists)
            reader = stack.enter_context(
                documents.behind_documents(reader, lists, folders, progress)
            )
        run = Training(reader, wrapped, data, options, seed)
        if state is not None:
            run.load_state(state)
        run.train(store, progress)
    if run.progress.best_epoch == 0:
        # Few validation queries decide this often by chance; it must not pass for training.
        logger.warning(
            "no epoch ranks the %d validation queries better than the unaligned model (nDCG@10 "
            "%.4f): the adapter changes nothing. Validate on more queries, train on more, or lower "
            "learning_rate (now %g)",
            len(data.validation.lists),
            run.progress.best,
            options.learning_rate,
        )
    card = {
        "headrank": __version__,
        "model": Path(reader.model.name).name,
        "model_digest": reader.model.digest,
        "options": asdict(options),
        "dtype": reader.model.dtype,
        "prompt": reader.builder.options.described(),
        "wrapper": reader.builder.wrapper,
        "seed": seed,
        "labelled_queries": len(data.training.lists) if data.labelled is None else data.labelled,
        "training_queries": len(data.matched),
        "pairs": len(data.pairs.pairs),
        "best_epoch": run.progress.best_epoch,
        "validation_ndcg@10": run.progress.best,
        "provenance": provenance or {},
    }
    table = pd.DataFrame(run.progress.validation)
    with atomic_dir(folders.target, ADAPTER) as folder:
        adapters.restore_state(wrapped, run.best_state)
        adapters.save_adapter(wrapped, folder, run.served_heads(), card)
        pd.DataFrame(run.progress.log).to_csv(folder / "training.csv", index=False)
        table.to_csv(folder / "validation.csv", index=False)
    if store is not None:
        store.remove()
    return table
