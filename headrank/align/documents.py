"""Documents of a training that changes the query's tokens alone: encoded once, before its steps."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from headrank.align.forward import HeadReader
from headrank.align.places import DOCUMENTS, Folders, make_checkpoint
from headrank.data.candidates import CandidateList, Passage, as_candidates
from headrank.errors import HeadRankError, HostFault
from headrank.io.files import json_sha256, told
from headrank.io.progress import follow
from headrank.options.prompt import STORABLE
from headrank.reading.apart import PASS_TOKENS, encode_documents
from headrank.reading.document_store import (
    OF_A_JOB,
    DocumentStore,
    Shelf,
    document_state,
    identity_of,
)
from headrank.reading.packed import Packed
from headrank.reading.passes import passes
from headrank.reading.prompt_tokens import Prompt

_TOKENIZED = 256  # passages that are tokenised at once
_UNBOUNDED = 10**18  # bytes: nothing may make room for others, the disk is checked before
_SPARE = 1.05  # of the bytes that are needed, so that other files find room


def check_layout(layout: str, both_layouts: bool) -> None:
    """Refuse a layout in which documents see other text, so that a query's adapter is theirs too.

    Raises:
        HeadRankError: names the layouts that are allowed.
    """
    if layout in STORABLE and not both_layouts:
        return
    asked = "both layouts are" if both_layouts else f"layout {layout} is"
    raise HeadRankError(
        f"tokens is query, but {asked} to be trained; a document is read without the query's "
        f"adapter only in layout {' or '.join(STORABLE)}: profile the heads in one of them "
        "(--layout block)"
    )


@contextlib.contextmanager
def behind_documents(
    reader: HeadReader, lists: Iterable[CandidateList], folders: Folders, progress: bool
) -> Iterator[HeadReader]:
    """Yield a reader that finds every document of some lists encoded; see `encoded`.

    They lie in the checkpoint's folder, which removes them, or else beside the target until the
    block ends.
    """
    with contextlib.ExitStack() as stack:
        if folders.checkpoint is not None:
            make_checkpoint(Path(folders.checkpoint))
            folder = _own_folder(reader, Path(folders.checkpoint) / DOCUMENTS)
        else:
            parent = Path(folders.target).absolute().parent
            with told(parent):
                parent.mkdir(parents=True, exist_ok=True)
                made = tempfile.TemporaryDirectory(prefix=".documents-", dir=parent)
            folder = Path(stack.enter_context(made))
        yield replace(reader, shelf=encoded(reader, lists, folder, progress))


def _own_folder(reader: HeadReader, parent: Path) -> Path:
    """Return the folder of documents that are encoded as here; others are in the way, and go."""
    identity = identity_of(reader.model, None, reader.builder)
    del identity["name"]  # where the model lies, which may be spelt in many ways
    name = json_sha256(identity)[:16]
    for other in parent.iterdir() if parent.is_dir() else ():
        if other.name != name and other.is_dir():
            shutil.rmtree(other)
    return parent / name


def encoded(
    reader: HeadReader, lists: Iterable[CandidateList], folder: Path, progress: bool
) -> Shelf:
    """Return a shelf with every document of some lists, encoded in a folder.

    Passes hold the same documents in every run, and one that is there as a whole is not computed
    again: a killed run goes on to the same numbers.

    Args:
        reader: its model carries the adapter, which documents do not see.
        folder: made if it is not there.

    Raises:
        HeadRankError: as `headrank.reading.prompt.PromptBuilder.build`, or a folder of other
            documents.
        HostFault: the disk has no room for all of them.
    """
    model, builder = reader.model, reader.builder
    store = DocumentStore.open(folder, memory=OF_A_JOB, limit=_UNBOUNDED, alone=True)
    store.bind(identity_of(model, None, builder))
    shelf = Shelf(store, document_state(model, None), model.device)
    passages = list(dict.fromkeys(passage for one in lists for passage in one.passages))
    parts = [
        part
        for start in range(0, len(passages), _TOKENIZED)
        for part in _parts(reader, passages[start : start + _TOKENIZED])
    ]
    layers = reader.heads.deepest + 1
    waiting = [part for part in parts if not all(map(store.has, _keys(part, shelf, layers)))]
    bar = follow(
        total=len(passages),
        initial=len(passages) - sum(len(part.spans) for part in waiting),
        desc="encoding documents",
        unit="document",
        disable=not progress or not waiting,
    )
    with bar:
        for number, part in enumerate(waiting):
            encode_documents(model, part, shelf, layers=layers)
            bar.update(len(part.spans))
            if number == 0:
                one = sum(map(store.folder.size, _keys(part, shelf, layers))) / _tokens(part)
                _check_disk(folder, one, waiting[1:])
    return shelf


def _parts(reader: HeadReader, passages: list[Passage]) -> list[Prompt]:
    """Return a prompt of the documents of each pass."""
    whole = as_candidates("any", passages)
    prompt = reader.builder.build(whole, ("any",))
    dealt = passes(prompt.blocks.order, prompt.blocks.widths, PASS_TOKENS)
    return [reader.builder.build(whole.take(places), ("any",)) for places in dealt]


def _keys(prompt: Prompt, shelf: Shelf, layers: int) -> list[str]:
    """Return the keys of all documents of a pass, and of their prefix."""
    head = prompt.blocks.head(0)
    packed = Packed.of(prompt, len(head))
    keys = list(shelf.keys(packed, layers).values())
    if packed.head:
        keys.append(shelf.key(head, (), layers))
    return keys


def _tokens(part: Prompt) -> int:
    """Return the tokens of a pass's documents."""
    return int(part.blocks.widths.sum())


def _check_disk(folder: Path, one: float, rest: list[Prompt]) -> None:
    """Refuse documents that the disk cannot hold, as soon as one pass tells their size.

    Args:
        one: bytes that a token takes in files.
    """
    needed = one * sum(map(_tokens, rest)) * _SPARE
    free = shutil.disk_usage(folder).free
    if needed > free:
        documents = sum(len(part.spans) for part in rest)
        raise HostFault(
            f"{folder}: {documents} documents to encode take {needed / 1e9:.1f} GB more, and "
            f"{free / 1e9:.1f} GB are free there; free space, train on fewer or shorter documents "
            "(document_tokens), or use dtype bfloat16"
        )
