"""Progress in files is lines; in a terminal it is tqdm's bar."""

import io
import sys

import pytest
from tqdm import tqdm

from headrank.io import progress
from headrank.io.progress import Lines, duration, follow, plural, told_besides
from headrank.workflow.job import job_log


@pytest.fixture
def clock(monkeypatch):
    """Return a list whose last number is the time."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[-1])
    return now


def test_a_file_holds_lines_and_no_carriage_return(clock, monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    for number in follow(range(100), desc="read", unit="query"):
        clock.append(number * 3.0)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "read: 0 of 100 queries"
    assert lines[1] == "read: 21 of 100 queries, 1:00, 0.35 query/s"
    assert lines[-1] == "read: 100 of 100 queries, 4:57, 0.337 query/s"
    # Every 60 of 297 seconds, the first and the last.
    assert len(lines) == 1 + 4 + 1 and "\r" not in stream.getvalue()


def test_lines_of_every_minute_are_told_besides_behind_a_name(clock, monkeypatch):
    file, terminal = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", file)
    with told_besides(terminal, "logs/align.log"), Lines(desc="align", unit="step", total=4) as bar:
        for _ in range(4):
            clock.append(clock[-1] + 50.0)
            bar.update()
            bar.set_postfix_str("loss 0.5")
    said = terminal.getvalue().splitlines()
    assert said == [
        "[logs/align.log] align: 2 of 4 steps, 1:40, 0.02 step/s, loss 0.5",
        "[logs/align.log] align: 4 of 4 steps, 3:20, 0.02 step/s, loss 0.5",
    ]
    assert file.getvalue().count("\n") == 4


def test_a_job_tells_the_terminal_and_its_log(clock, monkeypatch, tmp_path):
    terminal = io.StringIO()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.chdir(tmp_path)
    with job_log("logs/x.log"), follow(total=2, desc="x", unit="batch") as bar:
        clock.append(61.0)
        bar.update()
    assert terminal.getvalue() == "[logs/x.log] x: 1 of 2 batches, 1:01, 0.0164 batch/s\n"
    assert (tmp_path / "logs/x.log").read_text().count("batches") == 3


def test_a_resumed_count_starts_where_it_was_and_a_closed_terminal_ends_no_job(clock, monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    bar = Lines(desc="x", unit="step", total=10, initial=6)
    clock.append(2.0)
    bar.update(4)
    stream.close()
    bar.close()
    assert bar.done == 10


def test_a_terminal_gets_a_bar(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    assert isinstance(follow(range(2), desc="x"), tqdm)


@pytest.mark.parametrize("seconds, told", [(0, "0:00"), (61.9, "1:01"), (3723, "1:02:03")])
def test_durations(seconds, told):
    assert duration(seconds) == told


@pytest.mark.parametrize(
    "unit, several",
    [
        ("query", "queries"),
        ("batch", "batches"),
        ("documents", "documents"),
        ("step", "steps"),
        ("", ""),
    ],
)
def test_plurals(unit, several):
    assert plural(unit) == several
