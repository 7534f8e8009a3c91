"""What is said of a device, a folder and a hub repository that are not there; and how fast."""

import socket
import time

import huggingface_hub
import pytest
import torch
from huggingface_hub import errors

from headrank.baselines.bi_encoder import dense_run
from headrank.baselines.cross_encoder import CrossEncoder
from headrank.baselines.generation.model import load_generator
from headrank.cli import main
from headrank.errors import HeadRankError
from headrank.models.decoder import load_model
from headrank.models.safe_loading import find
from headrank.ranker.ranker import HeadRanker
from tests.helpers import tiny_models as tiny

LOADERS = {
    "reader": lambda path, **given: load_model(path, **given),
    "writer": lambda path, **given: load_generator(path, **given),
    "encoder": lambda path, **given: dense_run(path, [], max_tokens=16, **given),
    "classifier": lambda path, **given: CrossEncoder(path, max_tokens=16, **given),
}


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize("device", ["gpu", "mps", "cuda:x", "CPU", "", "cuda:-1", None])
def test_a_device_that_is_none_is_told_with_those_that_are(loader, device):
    with pytest.raises(HeadRankError, match=r"is unknown; allowed: cpu, cuda, cuda:N .*auto") as e:
        LOADERS[loader](tiny.folder("llama"), device=device)
    assert repr(device) in str(e.value)


def test_a_gpu_that_is_not_there_is_told_with_their_number(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(HeadRankError, match=r"'cuda:2': torch sees 2 GPUs.*cuda:0 to cuda:1"):
        load_model(tiny.folder("llama"), device="cuda:2")


@pytest.mark.parametrize("command", ["rerank", "profile", "align"])
def test_the_command_refuses_a_device_before_it_reads(command, capsys):
    with pytest.raises(SystemExit) as end:
        main([command, "nowhere.jsonl", "--model", "nowhere", "--device", "gpu"])
    assert end.value.code == 2
    assert "device 'gpu' is unknown; allowed: cpu, cuda, cuda:N" in capsys.readouterr().err


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("resources/models/smolm2", "no such folder, and a hub repository is written owner/name"),
        ("./smolm2", "no such folder, and a hub repository is written owner/name"),
        ("~/models/x", "no such folder, and a hub repository is written owner/name"),
        ("a b", "no such folder, and a hub repository is written owner/name"),
        ("models/smolm2", "no such folder, the hub's cache has no repository.*HF_HUB_OFFLINE"),
        (__file__, "it is a file; give the folder that holds config.json"),
    ],
)
def test_a_mistyped_folder_is_told_in_one_line(loader, path, message, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(HeadRankError, match=message) as caught:
        LOADERS[loader](path)
    assert str(caught.value).startswith(f"{path}: no ") and "\n" not in str(caught.value)


def refuse(kind):
    """Return a hub that answers with an error of this kind."""

    def answer(self, name, *, revision=None, timeout=None):
        assert timeout is not None
        error = kind.__new__(kind)
        Exception.__init__(error, "refused")
        raise error

    return answer


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (errors.RepositoryNotFoundError, "the hub has no such repository at revision r1; correct"),
        (errors.RevisionNotFoundError, "the hub has no such repository at revision r1"),
        (errors.GatedRepoError, "its licence must be accepted"),
        (ConnectionError, r"cannot be asked .*\(ConnectionError\)"),
    ],
)
def test_what_the_hub_refuses_is_told_in_one_line(kind, message, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", refuse(kind))
    with pytest.raises(HeadRankError, match=message) as caught:
        load_model("someone/typo", revision="r1")
    assert "\n" not in str(caught.value)


def test_a_hub_that_does_not_answer_is_asked_once(monkeypatch):
    """A closed port of this machine stands for the hub: nothing leaves the machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    api = huggingface_hub.HfApi(endpoint=f"http://127.0.0.1:{port}")
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: api)
    # Whoever asks again waits before it.
    waits = []
    monkeypatch.setattr(time, "sleep", waits.append)
    with pytest.raises(HeadRankError, match=r"the hub cannot be asked.*where there is network"):
        load_model("someone/typo")
    assert waits == []


def test_a_cached_repository_needs_no_hub(monkeypatch):
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_, **__: "/a/file")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert find("someone/model") == {"local_files_only": True}
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", refuse(ConnectionError))
    assert find("someone/model") == {"local_files_only": True}


def test_passages_may_come_from_a_generator_but_not_without_an_order():
    ranker = HeadRanker.from_pretrained(tiny.folder("llama"), method="icr")
    listed = ranker.rerank("dogs", tiny.TEXTS, ids=list("abcdef"))
    drawn = ranker.rerank("dogs", (t for t in tiny.TEXTS), ids=(c for c in "abcdef"))
    assert [(p.doc_id, p.score) for p in drawn] == [(p.doc_id, p.score) for p in listed]
    for passages, kind in (({"a", "b"}, "set"), ({"text": "a"}, "dict"), (3, "int")):
        with pytest.raises(HeadRankError, match=f"passages is an? {kind}; give a list"):
            ranker.rerank("dogs", passages)
    with pytest.raises(HeadRankError, match="there are no passages to rank"):
        ranker.rerank("dogs", iter(()))
    with pytest.raises(HeadRankError, match="queries is one text"):
        ranker.rerank_queries("dogs", tiny.TEXTS)
    (first,) = ranker.rerank_queries((q for q in ["dogs"]), tiny.TEXTS, ids=list("abcdef"))
    assert [(p.doc_id, p.score) for p in first] == [(p.doc_id, p.score) for p in listed]
