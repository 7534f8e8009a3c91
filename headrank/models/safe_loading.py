"""Loading what others trained: one way for decoders, writers, encoders and classifiers.

A model comes from outside: it is data. No Python of its folder is run, and its weights are read
as safetensors, because a pickle (``pytorch_model.bin``) runs what it likes when it is opened.
Absent weights are refused (transformers draws them at random), and so are NaN and infinity.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from headrank.errors import HeadRankError
from headrank.models.devices import choose_device, fits
from headrank.models.first_calls import settle

DEVICE = re.compile(r"cpu|auto|cuda(:\d+)?")
DEVICES = "cpu, cuda, cuda:N (one GPU by its number), auto (a GPU where torch sees one)"
TIMEOUT = 10.0  # seconds for the one question whether the hub has a repository
_REPOSITORY = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?", re.ASCII)
_CODE = (
    "it asks to run Python of its own (auto_map in its configuration), which is never done; use a "
    "model whose architecture transformers itself holds"
)
_SAFETENSORS = (
    "it has no weights as safetensors, and pickled ones are never opened because they can run "
    "code; convert them to safetensors where you trust them (transformers' save_pretrained writes "
    "them), or take a revision that has them"
)


def check_device(device: str) -> str:
    """Return the device that weights are loaded to; ``auto`` is a GPU where torch sees one.

    Raises:
        HeadRankError: a name that is not allowed, or a GPU that is not there.
    """
    check_device_name(device)
    device = choose_device(device)
    if not device.startswith("cuda"):
        return device
    import torch

    if not torch.cuda.is_available():
        raise HeadRankError(
            f"device {device!r}: no CUDA device is visible; use --device cpu, or auto"
        )
    number, count = int(device.partition(":")[2] or 0), torch.cuda.device_count()
    if number >= count:
        raise HeadRankError(
            f"device {device!r}: torch sees {count} GPUs, numbered from 0; use cuda:0 to "
            f"cuda:{count - 1}"
        )
    return device


def check_device_name(device: str) -> None:
    """Refuse a device that is neither the CPU nor a GPU of CUDA; no GPU is looked for."""
    if not isinstance(device, str) or not DEVICE.fullmatch(device):
        raise HeadRankError(f"device {device!r} is unknown; allowed: {DEVICES}")


def is_here(
    path: str | os.PathLike, what: str = "model", marks: Sequence[str] = ("config.json",)
) -> bool:
    """Return whether a model is a folder of this machine; one of the hub is not asked for.

    Args:
        marks: files of which the folder must hold one.

    Raises:
        HeadRankError: a file, a folder of something else, or a path that no repository can have.
    """
    name, folder = os.fspath(path), Path(path)
    problem = f"{name}: no {what} can be loaded"
    if folder.is_dir():
        if any((folder / mark).is_file() for mark in marks):
            return True
        inside = sorted(one.parent.name for mark in marks for one in folder.glob(f"*/{mark}"))
        those = f", as these in it do: {', '.join(inside[:5])}" if inside else ""
        raise HeadRankError(
            f"{problem}: the folder holds no {' or '.join(marks)}; give one that does{those}"
        )
    if folder.exists():
        raise HeadRankError(f"{problem}: it is a file; give the folder that holds config.json")
    if not _REPOSITORY.fullmatch(name):
        raise HeadRankError(
            f"{problem}: there is no such folder, and a hub repository is written owner/name"
        )
    return False


def find(
    path: str | os.PathLike,
    what: str = "model",
    revision: str | None = None,
    marks: Sequence[str] = ("config.json",),
) -> dict:
    """Return what transformers is told beside a path: ``local_files_only`` for a known one.

    The hub is asked once, with a short limit of time: transformers would ask again and again.

    Args:
        marks: files of which the hub's cache holds one, if it holds the repository.

    Raises:
        HeadRankError: neither a folder nor a repository that the hub or its cache has.
    """
    name = os.fspath(path)
    problem = f"{name}: no {what} can be loaded"
    if is_here(path, what, marks):
        return {}
    import huggingface_hub
    from huggingface_hub import HfApi, try_to_load_from_cache

    cached = any(
        isinstance(try_to_load_from_cache(name, mark, revision=revision), str) for mark in marks
    )
    absent = f"{problem}: there is no such folder"
    if huggingface_hub.constants.HF_HUB_OFFLINE:
        if cached:
            return {"local_files_only": True}
        raise HeadRankError(
            f"{absent}, the hub's cache has no repository of this name, and HF_HUB_OFFLINE forbids "
            "to ask the hub; correct the path, or unset HF_HUB_OFFLINE where there is network"
        )
    try:
        HfApi().model_info(name, revision=revision, timeout=TIMEOUT)
    except Exception as error:  # the hub's client lets errors of several HTTP libraries through
        kind = type(error).__name__
        if kind in ("RepositoryNotFoundError", "RevisionNotFoundError", "HFValidationError"):
            at = "" if revision is None else f" at revision {revision}"
            raise HeadRankError(
                f"{absent}, and the hub has no such repository{at}; correct the path or the name "
                "(owner/name), or log in with `hf auth login` if it is private"
            ) from None
        if kind == "GatedRepoError":
            raise HeadRankError(
                f"{problem}: its licence must be accepted on the hub first; then log in with "
                "`hf auth login`"
            ) from None
        if cached:
            return {"local_files_only": True}
        raise HeadRankError(
            f"{absent}, and the hub cannot be asked for a repository of this name ({kind}); "
            "correct the path, or try again where there is network"
        ) from None
    return {}


def load_tokenizer(
    path: str | os.PathLike, what: str = "model", revision: str | None = None
) -> tuple[Any, Any]:
    """Return a model's configuration and tokenizer.

    Raises:
        HeadRankError: as :func:`find`, damaged files, or a model with code of its own.
    """
    from transformers import AutoConfig, AutoTokenizer

    config, tokenizer = _small_parts(path, what, revision, [AutoConfig, AutoTokenizer])
    return config, tokenizer


def load_config(path: str | os.PathLike, revision: str | None = None) -> Any:
    """Return a model's configuration, which tells its shape before any weights are read.

    Raises:
        HeadRankError: as :func:`load_tokenizer`.
    """
    from transformers import AutoConfig

    (config,) = _small_parts(path, "model", revision, [AutoConfig])
    return config


def _small_parts(
    path: str | os.PathLike, what: str, revision: str | None, classes: Sequence[Any]
) -> list[Any]:
    """Return what each of transformers' classes reads of a model's small files."""
    told = {"revision": revision, **find(path, what, revision)}
    try:
        return [one.from_pretrained(path, trust_remote_code=False, **told) for one in classes]
    # A damaged file raises whatever the first reader that stumbles over it raises.
    except Exception as error:
        raise HeadRankError(
            f"{path}: no {what} can be loaded ({reason(error)}); give a folder with config.json, "
            "safetensors and tokenizer.json, or a hub repository that is reachable"
        ) from None


def load_weights(
    auto: Any,
    path: str | os.PathLike,
    *,
    device: str,
    what: str = "model",
    revision: str | None = None,
    optional: Sequence[str] = (),
    **options: Any,
) -> Any:
    """Return a model of a transformers class, whole and frozen, on a device.

    Args:
        auto: ``AutoModel``, ``AutoModelForCausalLM``, ...
        device: as :func:`check_device` returns it.
        optional: starts of the names of weights that are never used and may be absent.
        options: what else ``from_pretrained`` takes: config, dtype, ...

    Raises:
        HeadRankError: no safetensors, damaged ones, weights that are absent, of another shape,
            NaN or infinite.
    """
    import torch

    from headrank.models.norms import fuse_norms
    from headrank.models.products import tell_slow, widen

    settle()
    check_weights(path)
    try:
        with _quiet_loading():
            model, report = auto.from_pretrained(
                path,
                revision=revision,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # refused by name below
                trust_remote_code=False,
                use_safetensors=True,
                **find(path, what, revision),
                **options,
            )
    except HeadRankError:
        raise
    except Exception as error:  # as above
        raise HeadRankError(
            f"{path}: no {what} can be loaded: its weights cannot be loaded ({reason(error)}); "
            "fetch or convert the model again"
        ) from None
    check_whole(report, path, what, optional)
    with fits(
        f"{path}: the weights",
        "use dtype bfloat16, fewer layers, or a larger GPU; other processes may hold its memory",
    ):
        model.eval().requires_grad_(False).to(device)
    for name, parameter in model.named_parameters():
        if not torch.isfinite(parameter.sum()):
            raise HeadRankError(
                f"{path}: weights {name} hold NaN or infinity; fetch or convert the model again"
            )
    widen(model)
    fuse_norms(model)
    tell_slow(model)
    return model


def check_whole(
    report: dict, where: str | os.PathLike, what: str = "model", optional: Sequence[str] = ()
) -> None:
    """Refuse absent weights: transformers draws them at random and only logs it."""
    absent = sorted({*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])})
    absent = [name for name in absent if not name.startswith(tuple(optional))]
    if absent:
        raise HeadRankError(
            f"{where}: {len(absent)} weights are missing, first {absent[0]} (absent or of another "
            f"shape); a {what} needs trained weights, whole: fetch or convert it again"
        )


@contextmanager
def _quiet_loading() -> Iterator[None]:
    """Silence transformers' reports: of weights left out on purpose, of layers not sharded."""
    logger = logging.getLogger("transformers")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def check_weights(path: str | os.PathLike) -> None:
    """Refuse a local folder without safetensors; a hub repository is asked when it is loaded.

    Raises:
        HeadRankError: names the pickled weights, if that is what the folder holds, or weights that
            may not be read, of which safetensors says that there is no such file.
    """
    folder = Path(path)
    if not folder.is_dir():
        return
    weights = sorted(folder.glob("*.safetensors"))
    for file in weights:
        try:
            file.open("rb").close()
        except OSError as error:
            raise HeadRankError(
                f"{file}: cannot be read by user {os.geteuid()} ({error.strerror}); let this user "
                "read it, or run as its owner"
            ) from None
    if weights:
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


# Causal decoders that route through AttentionInterface with plain softmax attention,
# each compared with eager attention in the tests.
SUPPORTED = ("gemma3_text", "granite", "llama", "mistral", "qwen2", "qwen3")


def check_supported(model_type: str, where: str) -> None:
    """Refuse an architecture whose attention was never compared with eager attention."""
    if model_type not in SUPPORTED:
        raise HeadRankError(
            f"{where}: architecture {model_type!r} is not supported; supported: "
            f"{', '.join(SUPPORTED)}"
        )
