"""Tiny random decoders of every supported architecture, saved as folders that load_model reads."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from headrank.lists import CandidateList, Passage

LAYERS, HEADS, CONTEXT = 4, 4, 1024
TEXTS = (
    "a mortgage is a loan that is secured by a house",
    "term life insurance pays if the insured dies within the term of the policy",
    "dogs bark at night when someone walks by the house",
    "the premium of a policy depends on age and health",
    "cover for a rented car is often part of the policy of your own car",
    "tomatoes grow best in full sun and rich soil",
)
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

_SHAPE = {
    "vocab_size": 400,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": 2,
    "max_position_embeddings": CONTEXT,
    "initializer_range": 0.25,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 1,
}
# Windows shorter than the prompts: a wrong mask changes scores. Mistral, with windows in all
# layers, must still see every document.
_KINDS = ("full_attention", "sliding_attention", "full_attention", "sliding_attention")
ARCHITECTURES = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**_SHAPE)),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**_SHAPE)),
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**_SHAPE, head_dim=16)),
    "mistral": lambda: MistralForCausalLM(MistralConfig(**_SHAPE, sliding_window=150)),
    "gemma3": lambda: Gemma3ForCausalLM(
        Gemma3TextConfig(
            **_SHAPE,
            head_dim=16,
            query_pre_attn_scalar=16,
            sliding_window=24,
            layer_types=list(_KINDS),
        )
    ),
}


@functools.cache
def tokenizer() -> PreTrainedTokenizerFast:
    """Return a byte-level tokenizer with a chat template and two control tokens."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.train_from_iterator(
        TEXTS,
        trainers.BpeTrainer(
            vocab_size=400,
            special_tokens=["<|im_start|>", "<|im_end|>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    result = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|im_end|>",
    )
    result.chat_template = TEMPLATE
    return result


@functools.cache
def folder(architecture: str) -> Path:
    """Return a folder with the architecture's random weights; one a test session."""
    target = Path(tempfile.mkdtemp(prefix=f"headrank-{architecture}-"))
    torch.manual_seed(7)
    model = ARCHITECTURES[architecture]().eval()
    model.save_pretrained(target)
    tokenizer().save_pretrained(target)
    return target


def candidates(query: str = "what does a policy pay", query_id: str = "q1", skip: int = 0):
    """Return a list over the texts, without the first ``skip``."""
    texts = TEXTS[skip:]
    return CandidateList(
        query_id,
        query,
        tuple(f"d{number}" for number in range(skip, len(TEXTS))),
        tuple(Passage("", text) for text in texts),
    )
