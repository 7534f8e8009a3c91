"""A job's log: messages in lines, errors of the user's without a traceback, nothing that steers."""

import io
import logging
import sys

import pytest

from headrank.errors import HeadRankError
from headrank.workflow.job import job_log


def logged(path, error=None):
    """Return the log of a job that says one thing and may fail."""
    try:
        with job_log(path):
            logging.getLogger("one").info("query q\x1b[2J\x00 has\ttwo\nlines, naïve ≤ 3")
            if error:
                raise error
    finally:
        text = path.read_text(encoding="utf-8")
    return text


def test_a_message_cannot_steer_the_terminal(tmp_path):
    text = logged(tmp_path / "job.log")
    assert "query q\\x1b[2J\\x00 has\ttwo\nlines, naïve ≤ 3\n" in text


@pytest.mark.parametrize(
    "error, end", [(HeadRankError("d\x1b[2J"), SystemExit), (KeyError("d\x1b[2J"), KeyError)]
)
def test_an_error_cannot_either(error, end, tmp_path):
    with pytest.raises(end):
        logged(tmp_path / "job.log", error)
    text = (tmp_path / "job.log").read_text()
    assert "\x1b" not in text and "d\\x1b[2J" in text
    assert ("Traceback" in text) is (end is KeyError)


def test_handlers_of_libraries_write_to_the_log_and_what_needs_no_act_is_silent(
    tmp_path, monkeypatch
):
    terminal = io.StringIO()
    monkeypatch.setattr(sys, "stderr", terminal)
    library = logging.getLogger("transformers.distributed.tensor_parallel")
    handler = logging.StreamHandler(terminal)
    library.addHandler(handler)
    level = library.level
    try:
        with job_log(tmp_path / "job.log"):
            library.warning("The following layers were not sharded: a")
            library.error("broken")
        assert handler.stream is terminal and library.level == level
    finally:
        library.removeHandler(handler)
    assert terminal.getvalue() == ""
    text = (tmp_path / "job.log").read_text()
    assert "not sharded" not in text and "broken" in text


def test_our_warnings_alone_are_told_in_the_terminal_too(tmp_path, monkeypatch):
    terminal = io.StringIO()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit), job_log("logs/set.log"):
        logging.getLogger("headrank.data.candidates").warning("20 taken, 40 asked for")
        logging.getLogger("headrank.data.candidates").info("20 queries")
        logging.getLogger("another.library").warning("something")
        raise HeadRankError("broken")
    assert terminal.getvalue() == "[logs/set.log] 20 taken, 40 asked for\n"
    log = (tmp_path / "logs/set.log").read_text()
    assert all(words in log for words in ("20 taken", "20 queries", "something", "broken"))
