"""What is asked of a model's files before transformers reads them, and its refusals in our words.

A model comes from outside: it is data. No Python of its folder is run, and its weights are read
as safetensors, because a pickle (``pytorch_model.bin``) runs what it likes when it is opened.
"""

from __future__ import annotations

import os
from pathlib import Path

from headrank.errors import HeadRankError

_CODE = (
    "it asks to run Python of its own (auto_map in its configuration), which is never done; use a "
    "model whose architecture transformers itself holds"
)
_SAFETENSORS = (
    "it has no weights as safetensors, and pickled ones are never opened because they can run "
    "code; convert them to safetensors where you trust them (transformers' save_pretrained writes "
    "them), or take a revision that has them"
)


def check_weights(path: str | os.PathLike) -> None:
    """Refuse a local folder without safetensors; a hub repository is asked when it is loaded.

    Raises:
        HeadRankError: names the pickled weights, if that is what the folder holds.
    """
    folder = Path(path)
    if not folder.is_dir() or any(folder.glob("*.safetensors")):
        return
    pickled = sorted(file.name for pattern in ("*.bin", "*.pt*") for file in folder.glob(pattern))
    found = f", only {pickled[0]}" if pickled else ""
    raise HeadRankError(f"{folder}: the weights cannot be loaded{found}: {_SAFETENSORS}")


def reason(error: Exception) -> str:
    """Return in one line why transformers loaded nothing.

    Its own text for code and for pickles advises to allow them.
    """
    text = str(error)
    if "custom code" in text or "trust_remote_code" in text:
        return _CODE
    if "use_safetensors" in text:
        return _SAFETENSORS
    return text.partition("\n")[0]
