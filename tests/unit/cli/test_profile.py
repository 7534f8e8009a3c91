"""What `headrank profile` does when it is killed: it goes on, and keeps what it read."""

import pytest

from headrank.cli import main
from headrank.data.heads import HeadSet
from headrank.heads import profiling
from headrank.models import decoder
from headrank.reading import unfinished
from tests.helpers import command_line
from tests.helpers import tiny_models as tiny
from tests.helpers.command_line import labelled, refused, write

# pytest finds a fixture by its name in the module that uses it.
model = command_line.model


@pytest.fixture
def read(monkeypatch):
    """Return the ids of queries that were read, and a set of those that stop the reading."""
    monkeypatch.setattr(unfinished, "EVERY", 0.0)
    whole, stops, ids = profiling.read_lists, set(), []

    def counted(model, builder, lists, *args, **kwargs):
        for reading in whole(model, builder, lists, *args, **kwargs):
            if reading.query_id in stops:
                raise KeyboardInterrupt
            ids.append(reading.query_id)
            yield reading

    monkeypatch.setattr(profiling, "read_lists", counted)
    return ids, stops


def killed(*args):
    raise KeyboardInterrupt


def test_a_killed_profile_goes_on_to_the_same_bytes(tmp_path, monkeypatch, model, read):
    ids, stops = read
    records = [labelled(number) for number in range(6)]
    path = write(tmp_path / "labelled.jsonl", records)
    begun, heads, table = (tmp_path / name for name in ("begun", "heads.json", "table.csv"))
    arguments = ["profile", path, "--model", model, "--criterion", "max-logit", "--quiet"]
    assert main([*arguments, "-o", str(heads), "--table", str(table)]) == 0
    expected = heads.read_bytes(), table.read_bytes()
    heads.unlink()
    names = [record["query_id"] for record in records]
    assert ids == names
    arguments += ["-o", str(heads), "--table", str(table), "--checkpoint", str(begun)]
    stops.add(names[4])
    assert main(arguments) != 0
    assert not heads.exists()
    stops.clear()
    ids.clear()
    # Other settings and other texts have files of their own.
    assert main([*arguments, "--document-tokens", "5"]) == 0
    other = write(tmp_path / "other.jsonl", [*records[:5], labelled(7)])
    assert main(["profile", other, *arguments[2:]]) == 0
    assert len(ids) == 12
    ids.clear()
    # Heads that cannot be written leave what was read.
    with monkeypatch.context() as patch:
        patch.setattr(HeadSet, "save", killed)
        assert main(arguments) != 0
    assert ids == names[4:]
    ids.clear()
    assert main(arguments) == 0
    assert ids == []
    assert (heads.read_bytes(), table.read_bytes()) == expected
    assert list(begun.iterdir()) == []


def test_more_heads_than_the_model_has_are_refused_before_the_reading(
    tmp_path, capsys, model, read
):
    path = write(tmp_path / "labelled.jsonl", [labelled(0), labelled(1)])
    arguments = ["profile", path, "--model", model, "-o", str(tmp_path / "heads.json")]
    count = tiny.LAYERS * tiny.HEADS
    error = refused(capsys, [*arguments, "--count", str(count + 1)], code=2)
    assert f"--count is {count + 1}; the model has {count} heads" in error
    assert read[0] == []
    assert main([*arguments, "--count", str(count)]) == 0


def test_labels_of_one_grade_are_refused_before_the_model_is_loaded(
    tmp_path, capsys, monkeypatch, model, read
):
    one_grade = labelled(0)
    for document in one_grade["docs"]:
        document["grade"] = 1
    path = write(tmp_path / "labelled.jsonl", [labelled(1), one_grade])
    arguments = ["--model", model, "-o", str(tmp_path / "heads.json"), "--quiet"]
    with monkeypatch.context() as patch:
        patch.setattr(decoder, "load_model", killed)
        error = refused(capsys, ["profile", path, *arguments])
    assert "only 1 profiling query has candidates of two different grades" in error
    # Beside others such a list is not read.
    path = write(tmp_path / "more.jsonl", [labelled(1), one_grade, labelled(2)])
    assert main(["profile", path, *arguments]) == 0
    assert read[0] == [labelled(number)["query_id"] for number in (1, 2)]


def test_a_dash_is_standard_output(tmp_path, capfd, monkeypatch, model):
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path / "labelled.jsonl", [labelled(0), labelled(1)])
    arguments = ["profile", path, "--model", model, "--count", "2", "--quiet"]
    assert main([*arguments, "-o", "heads.json"]) == 0
    capfd.readouterr()
    assert main([*arguments, "-o", "-"]) == 0
    assert capfd.readouterr().out == (tmp_path / "heads.json").read_text()
    assert not (tmp_path / "-").exists()
    assert main([*arguments, "-o", "-", "--table", "-"]) == 2
    assert "give two files" in capfd.readouterr().err


def test_a_file_is_no_folder_of_checkpoints(tmp_path, capsys, model):
    path = write(tmp_path / "labelled.jsonl", [labelled(0), labelled(1)])
    arguments = ["profile", path, "--model", model, "-o", str(tmp_path / "heads.json")]
    error = refused(capsys, [*arguments, "--checkpoint", path])
    assert "labelled.jsonl: is a file; give the checkpoint a folder" in error
    error = refused(capsys, [*arguments, "--checkpoint", f"{path}/begun"])
    assert "labelled.jsonl is a file, not a folder" in error
