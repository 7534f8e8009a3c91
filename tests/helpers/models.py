"""Tiny models for tests: random decoders of each supported architecture, and tokenizers.

Nothing is downloaded. Weights are drawn wide, so that attention is far from uniform and a
wrong mask, span or head changes every number; biases and norms are drawn too.
"""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    BertConfig,
    BertModel,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
)

from headrank.align import adapter
from headrank.data.candidates import CandidateList, Passage
from headrank.data.heads import HeadSet, every_head
from headrank.models import attention
from headrank.models.decoder import LoadedModel
from headrank.models.norms import fuse_norms
from headrank.reading.prompt_tokens import Prompt, Suffix

LAYERS, HEADS, VOCABULARY = 4, 4, 420
CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TEXTS = (
    "A mortgage is a loan that is secured by a house.",
    "Term life insurance pays if the insured dies within the term of the policy.",
    "Dogs bark at night when someone walks by the house!",
    "The premium of a policy depends on age and health.\nIt is paid each month.",
    "Cover for a rented car (3.5% of it) is often part of your own policy.",
    "Tomatoes grow best in full sun and rich soil",
    "Which of the passages above answer the query below?\n\nQuery: what does a policy pay",
    "Here are some passages:\n\n[1] first\n\n[2] second\n\n",
)
CHAT = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# How Qwen and Llama 3 split words: punctuation takes the line breaks after it along.
_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# A window of 24 is far below the prompts' length; 4 layers alternate where both kinds exist.
ARCHITECTURES: dict[str, tuple[str, dict]] = {
    "llama": ("llama", {}),
    "llama3-rope": (
        "llama",
        {
            "rope_parameters": {
                "rope_type": "llama3",
                "rope_theta": 500.0,
                "factor": 4.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 64,
            }
        },
    ),
    "mistral": ("mistral", {"sliding_window": None}),
    "mistral-window": ("mistral", {"sliding_window": 24}),
    "qwen2": ("qwen2", {}),
    "qwen3": ("qwen3", {"head_dim": 16}),
    "gemma3": (
        "gemma3_text",
        {
            "head_dim": 16,
            "query_pre_attn_scalar": 8,
            "sliding_window": 24,
            "layer_types": ["sliding_attention", "full_attention"] * (LAYERS // 2),
        },
    ),
    # Its own factors, none of them what another architecture would use.
    "granite": (
        "granite",
        {
            "attention_multiplier": 0.3,
            "embedding_multiplier": 3.0,
            "residual_multiplier": 0.7,
            "logits_scaling": 2.0,
        },
    ),
}


def config(architecture: str, **changes: object) -> PreTrainedConfig:
    """Return the configuration of a tiny model of one of ``ARCHITECTURES``."""
    model_type, own = ARCHITECTURES[architecture]
    shape = {
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": 2,
        "max_position_embeddings": 2048,
        "bos_token_id": 0,
        "eos_token_id": 2,
        "pad_token_id": 0,
    }
    return AutoConfig.for_model(model_type, **shape | own | changes)


def randomise(module: torch.nn.Module, seed: int) -> None:
    """Draw every parameter anew: matrices wide, vectors (biases, norms) around their value."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.dim() > 1:
                parameter.copy_(0.2 * noise)
            else:
                parameter.add_(0.3 * noise)


def loaded(architecture: str = "llama", *, seed: int = 0, **changes: object) -> LoadedModel:
    """Return a random model as ``load_model`` would, without files."""
    own = config(architecture, **changes)
    decoder = AutoModel.from_config(own, attn_implementation=attention.IMPLEMENTATION)
    randomise(decoder, seed)
    decoder.eval().requires_grad_(False)
    fuse_norms(decoder)
    return LoadedModel(
        decoder=decoder,
        tokenizer=tokenizer(),
        name=f"tiny-{architecture}",
        layers=own.num_hidden_layers,
        heads=own.num_attention_heads,
        context=own.max_position_embeddings,
        digest=f"{architecture}-{seed}",
    )


def save(folder: Path, architecture: str = "llama", *, seed: int = 0, **changes: object) -> Path:
    """Save a random causal language model and its tokenizer; return the folder."""
    model = AutoModelForCausalLM.from_config(config(architecture, **changes))
    randomise(model, seed)
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


def with_adapter(model: LoadedModel, heads: HeadSet | None = None, seed: int = 1, **options: str):
    """Wrap the model with an adapter whose matrices are all non-zero; return peft's model."""
    heads = heads or every_head(model.layers, model.heads)
    wrapped = adapter.add_adapter(model, heads, rank=4, alpha=8, dropout=0.0, seed=seed, **options)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in wrapped.parameters():
            if parameter.requires_grad:
                parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    return wrapped.eval()


@functools.cache
def tokenizer(kind: str = "gpt2") -> PreTrainedTokenizerFast:
    """Return a small trained tokenizer with control tokens and a chat template.

    Args:
        kind: ``gpt2`` (byte-level), ``qwen`` (byte-level, splits words as Qwen and Llama 3
            do), ``qwen-nfc`` (the same behind NFC, as Qwen has it) or ``gemma`` (pieces
            with byte fallback over the whole text, spaces as ``▁``).
    """
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    if kind == "gemma":
        backend = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
        backend.normalizer = normalizers.Replace(" ", "▁")
        backend.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
        backend.decoder = decoders.Sequence(
            [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
        )
        special = [*CONTROL, "<unk>", *(f"<0x{byte:02X}>" for byte in range(256))]
        alphabet = []
    else:
        backend = Tokenizer(models.BPE())
        parts = [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=kind == "gpt2")]
        if kind != "gpt2":
            parts.insert(0, pre_tokenizers.Split(Regex(_WORDS), "isolated"))
        if kind == "qwen-nfc":
            backend.normalizer = normalizers.NFC()
        backend.pre_tokenizer = pre_tokenizers.Sequence(parts)
        backend.decoder = decoders.ByteLevel()
        special = CONTROL
    backend.train_from_iterator(
        TEXTS,
        trainers.BpeTrainer(
            vocab_size=VOCABULARY,
            special_tokens=special,
            initial_alphabet=alphabet,
            show_progress=False,
        ),
    )
    if kind == "gemma":
        # The trainer needs the byte pieces as special tokens; in use they are plain pieces.
        backend = _plain_bytes(backend)
    result = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=CONTROL,
    )
    result.chat_template = CHAT
    return result


def _plain_bytes(backend: Tokenizer) -> Tokenizer:
    """Return the tokenizer with its byte pieces no longer marked as special tokens."""
    state = json.loads(backend.to_str())
    state["added_tokens"] = [t for t in state["added_tokens"] if not t["content"].startswith("<0x")]
    return Tokenizer.from_str(json.dumps(state))


def candidates(
    texts=TEXTS[:6], query: str = "what does a policy pay", query_id: str = "q1"
) -> CandidateList:
    """Return a list over the texts, without titles."""
    return CandidateList(
        query_id,
        query,
        tuple(f"d{number}" for number in range(len(texts))),
        tuple(Passage("", text) for text in texts),
    )


def random_prompt(seed: int = 0, documents: int = 5, suffixes: int = 2) -> Prompt:
    """Return a prompt of random ids: spans with gaps, rows inside the suffix."""
    generator = np.random.default_rng(seed)
    widths = generator.integers(1, 14, size=documents)
    spans, place = [], 4
    for width in widths:
        spans.append((place, place + int(width)))
        place += int(width) + int(generator.integers(0, 4))
    lengths = [9 - 2 * number + 3 * (seed % 3) for number in range(suffixes)]
    prefix, *tails = (
        tuple(generator.integers(3, VOCABULARY, size=count).tolist())
        for count in (place + 3, *lengths)
    )
    rows = [(2, length - number) for number, length in enumerate(lengths)]
    return Prompt(prefix, tuple(spans), tuple(map(Suffix, tails, rows)))


@contextlib.contextmanager
def eager(model: LoadedModel) -> Iterator[None]:
    """Switch the model to transformers' own eager attention inside the block."""
    own = model.decoder.config
    before = own._attn_implementation
    own._attn_implementation = "eager"
    try:
        yield
    finally:
        own._attn_implementation = before


@torch.no_grad()
def brute_force(model: LoadedModel, prompt: Prompt, number: int = 0) -> tuple[np.ndarray, ...]:
    """Return ``[layers, heads, docs]`` and ``[layers, heads, document tokens]`` in float64.

    One pass of eager attention over the whole prompt, every ``[n, n]`` matrix kept, and
    plain loops over the spans.
    """
    suffix = prompt.suffixes[number]
    start = len(prompt.prefix)
    with eager(model):
        result = model.decoder(
            input_ids=torch.tensor([prompt.prefix + suffix.ids], device=model.device),
            use_cache=False,
            output_attentions=True,
        )
    attentions = torch.cat(result.attentions).double().cpu().numpy()
    rows = attentions[:, :, start + suffix.rows[0] : start + suffix.rows[1]].mean(axis=2)
    tokens = np.concatenate([rows[:, :, a:b] for a, b in prompt.spans], axis=-1)
    documents = np.stack([rows[:, :, a:b].sum(axis=-1) for a, b in prompt.spans], axis=-1)
    return documents, tokens


def save_encoder(folder: Path) -> Path:
    """Write a tiny random sentence encoder with 64 positions; return its folder."""
    config = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=64,
    )
    model = BertModel(config)
    randomise(model, 0)
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder
