"""Which documents a head can see: layers with sliding attention look back over a window only.

Gemma 3 slides in most layers, Mistral in all, Qwen in some if its config says so. A document
behind the window has a mass of exactly 0 whatever it says, so such a head tells nothing of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from headrank.errors import HeadRankError, Unfit, brief

if TYPE_CHECKING:  # torch is heavy, and reading files needs none of it
    from headrank.data.candidates import CandidateList
    from headrank.data.heads import HeadSet
    from headrank.models.decoder import LoadedModel
    from headrank.reading.prompt_tokens import Prompt

KEY = "sliding_windows"
"""Under this name a reading's provenance holds the windows; a model without any has no such key."""

Windows = tuple[int | None, ...]


def layer_windows(model: LoadedModel) -> Windows | None:
    """Return the window of each layer in tokens, None for full attention; None if all are full.

    A row at position r sees the positions above r - window (transformers' masks).
    """
    config = model.decoder.config
    # Qwen's config drops its window unless use_sliding_window is set.
    window = getattr(config, "sliding_window", None)
    if window is None:
        return None
    kinds = getattr(config, "layer_types", None)
    # Mistral's decoder never looks at layer_types.
    if kinds is None or config.model_type == "mistral":
        kinds = ["sliding_attention"] * model.layers
    windows = tuple(window if kind == "sliding_attention" else None for kind in kinds)
    return None if all(one is None for one in windows) else windows[: model.layers]


def provenance(model: LoadedModel) -> dict[str, list[int | None]]:
    """Return the entry of a reading's provenance: none for a model of full attention."""
    windows = layer_windows(model)
    return {} if windows is None else {KEY: list(windows)}


def distances(prompt: Prompt, suffix: int = 0) -> np.ndarray:
    """Return ``[docs]``: tokens from a document's last token to the first row that is read.

    No row looks further back than the first: a window of at most this distance hides the
    document wholly. In a block layout tokens are counted by position, from the shared prefix on.
    """
    if prompt.blocks is not None:
        first = prompt.blocks.offset + prompt.suffixes[suffix].rows[0]
        starts = (start for start, _ in prompt.blocks.documents)
        ends = [stop - 1 - start for start, (_, stop) in zip(starts, prompt.spans, strict=True)]
        return first - np.array(ends)
    first = len(prompt.prefix) + prompt.suffixes[suffix].rows[0]
    return np.array([first - (stop - 1) for _, stop in prompt.spans])


def unseen(
    mass: np.ndarray, windows: Windows | None, distance: np.ndarray | None
) -> np.ndarray | None:
    """Return ``[layers, heads, docs]``, True where a document lies wholly out of the window.

    None if the model has no window.

    Args:
        mass: ``[layers, heads, docs]``, as a prefill gives it.
        windows: of each layer in tokens, as `layer_windows` returns them.
        distance: ``[docs]``, as `distances` returns them; without them a document is judged by
            a mass of exactly 0 in a layer that slides.
    """
    if windows is None:
        return None
    windows = windows[: len(mass)]
    sliding = np.array([window is not None for window in windows])[:, None, None]
    if distance is None:
        return sliding & (mass == 0)
    reach = np.array([np.inf if window is None else window for window in windows])
    hidden = distance >= reach[:, None, None]
    return np.broadcast_to(hidden, mass.shape)


def check_prompt(
    model: LoadedModel,
    prompt: Prompt,
    heads: HeadSet | None,
    candidates: CandidateList | None = None,
) -> None:
    """Refuse heads that cannot see a document of a prompt, before anything is computed.

    Args:
        heads: those selected; None reads all heads (ICR), which is never refused here.
        candidates: the prompt's list, for names in the message; by default places from 1.

    Raises:
        HeadRankError: names layer, head, window, document and the remedy.
    """
    windows = layer_windows(model)
    if windows is None or heads is None:
        return
    for suffix in range(len(prompt.suffixes)):
        away = distances(prompt, suffix)
        for layer, head in heads.pairs:
            # A layer that the model does not have is refused by the reader.
            window = windows[layer] if layer < len(windows) else None
            if window is None or (away < window).all():
                continue
            place = int(np.flatnonzero(away >= window)[0])
            where, name = "", f"{place + 1} of {len(prompt.spans)}"
            if candidates is not None:
                where, name = f"query {brief(candidates.query_id)}: ", candidates.doc_ids[place]
            raise out_of_sight(where, (layer, head, window), name, int(away[place]))


def out_of_sight(
    where: str, head: tuple[int, int, int | None], document: str, away: int | None
) -> HeadRankError:
    """Return the error of one head and document; ``away`` is its distance in tokens."""
    layer, number, window = head
    ends = "" if away is None else f", which ends {away} tokens before the rows that are read"
    found = (
        f"{where}layer {layer}, head {number} has a sliding window of {window} tokens and sees "
        f"nothing of document {brief(document)}{ends}"
    )
    return Unfit(
        f"{found}; select heads again on lists of this length, or shorten the lists (fewer "
        "documents, a smaller document_tokens)",
        f"{found}; send fewer or shorter documents",
    )
