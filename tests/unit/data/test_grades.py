"""Grades: plain whole numbers within a bound, in every reader, and no value that failed."""

import json

import numpy as np
import pytest

from headrank.align.pairs import mine_pairs
from headrank.cli import main
from headrank.collections.local import import_local
from headrank.data.trec import MAX_GRADE, Qrels, Run, check_grade
from headrank.evaluation import measures as module
from headrank.evaluation.measures import evaluate
from headrank.fitting import LabelledQuery, as_lists
from headrank.options.pairs import PairOptions
from tests.helpers import command_line
from tests.helpers import tiny_models as tiny
from tests.helpers.command_line import labelled, write
from tests.helpers.command_line import refused as refused_by_command
from tests.helpers.expected_errors import refused

# pytest finds a fixture by its name in the module that uses it.
collection = command_line.collection

HUGE = [MAX_GRADE + 1, 2**31 - 1, 2**31, 1_700_000_000_000, 9 * 10**18, 2**63, 10**30, 10**5000]
HUGE += [-MAX_GRADE - 1, -(2**31), -(10**30)]


@pytest.fixture(params=[n for n in HUGE if abs(n) < 10**4000], ids=str)
def huge(request):
    return request.param


def test_the_bounds_themselves_are_grades(tmp_path):
    for grade in (MAX_GRADE, -MAX_GRADE):
        (tmp_path / "a").write_text(f"q 0 a {grade}\nq 0 b 1\n")
        qrels = Qrels.load(tmp_path / "a")
        assert qrels.grades == {"q": {"a": grade, "b": 1}}
        values = evaluate(Run({"q": [("a", 1.0)]}), qrels, ["RR", "nDCG@1"])["value"].tolist()
        assert values == ([1.0, 1.0] if grade > 0 else [0.0, 0.0])


def test_a_huge_grade_of_qrels_is_told_by_line(tmp_path, capsys, huge):
    (tmp_path / "a").write_text(f"1 0 b 1\n2 0 a {huge}\n3 0 a 1\n")
    shown = f"a:2: grade {str(huge)[:20]}"
    with refused(shown, f"is beyond {MAX_GRADE}, the highest allowed"):
        Qrels.load(tmp_path / "a")
    Run({str(n): [("a", 1.0)] for n in (1, 2, 3)}).save(tmp_path / "run")
    arguments = ["evaluate", str(tmp_path / "run"), "--qrels", str(tmp_path / "a")]
    assert shown in refused_by_command(capsys, arguments)


def test_a_huge_grade_of_a_collection_is_told_by_line(tmp_path, collection, huge):
    lines = (collection / "qrels.tsv").read_text().splitlines()
    (collection / "qrels.tsv").write_text("\n".join([*lines, f"q0 0 d4 {huge}"]) + "\n")
    with refused(rf"qrels\.tsv:{len(lines) + 1}: grade {str(huge)[:20]}", "is beyond"):
        import_local(collection, tmp_path / "made")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("grade", HUGE, ids=lambda grade: f"{grade.bit_length()} bits")
def test_a_huge_grade_of_the_library_is_named(tmp_path, grade):
    with refused("query why: grade ", "is beyond"):
        as_lists([LabelledQuery("why", ["one", "two"], [0, grade])])
    with refused("query q, document a: grade ", "is beyond"):
        evaluate(Run({"q": [("a", 1.0)]}), Qrels({"q": {"a": grade}}), ["nDCG@10"])
    with refused("query q, document a: grade ", "is beyond"):
        Qrels({"q": {"a": grade}}).save(tmp_path / "qrels")
    with refused("query q, a: grade ", "is beyond"):
        mine_pairs([("q", ("a", "b"), np.zeros(2))], {"q": {"a": grade}}, PairOptions(), 0)


def test_a_huge_grade_of_labelled_lists_is_told_by_line(tmp_path, capsys, huge):
    entry = labelled(1)
    entry["docs"][2]["grade"] = huge
    path = write(tmp_path / "labelled.jsonl", [labelled(0), entry])
    arguments = ["profile", path, "--model", str(tiny.folder("qwen3")), "-o", str(tmp_path / "h")]
    assert f"labelled.jsonl:2: document 3: grade {huge} is beyond" in refused_by_command(
        capsys, arguments
    )


@pytest.mark.parametrize("text", ["1_0", "+1", "01", "1.0", "1e0", "١", "２", "0x1", "--1", "-"])
def test_grades_are_written_plainly(tmp_path, text):
    (tmp_path / "a").write_text(f"q 0 b 1\nq 0 a {text}\n")
    with refused(f"a:2: grade '{text.replace('+', '[+]')}' is not a whole number, written plainly"):
        Qrels.load(tmp_path / "a")


@pytest.mark.parametrize(
    "grade", [1.5, float("nan"), float("inf"), True, np.True_, "1", "1.0", None, np.float32(0.5)]
)
def test_grades_are_whole_numbers(grade):
    with refused("it: grade .* is not a whole number"):
        check_grade(grade, "it")


@pytest.mark.parametrize("kind", [float, np.float64, np.float32])
def test_a_float_that_is_whole_is_a_grade(tmp_path, kind):
    """Tables and frames hold 1.0 once another row has no grade; TREC files stay strict."""
    made = check_grade(kind(2), "it")
    assert (made, type(made)) == (2, int)
    _, qrels = as_lists([LabelledQuery("why", ["one", "two"], [kind(-1), kind(3)])])
    assert qrels.grades == {"why": {"0": -1, "1": 3}}
    with refused("it: grade .* is beyond"):
        check_grade(kind(1e30), "it")
    Qrels({"q": {"a": kind(2)}}).save(tmp_path / "qrels")
    assert (tmp_path / "qrels").read_text() == "q\t0\ta\t2\n"


def test_numpy_counts_too():
    _, qrels = as_lists([LabelledQuery("why", ["one", "two"], np.array([2, 0]))])
    assert qrels.grades == {"why": {"0": 2, "1": 0}}


@pytest.mark.parametrize("failure", ["left out", "zero", "not finite"])
def test_a_value_that_trec_eval_did_not_compute_is_an_error(monkeypatch, failure):
    class Failing(module.pytrec_eval.RelevanceEvaluator):
        def evaluate(self, scores):
            values = super().evaluate(scores)
            if failure == "left out":
                del values["r"]
            else:
                values["r"] = dict.fromkeys(values["r"], 0.0 if failure == "zero" else float("nan"))
            return values

    monkeypatch.setattr(module.pytrec_eval, "RelevanceEvaluator", Failing)
    run = Run({name: [("a", 2.0), ("b", 1.0)] for name in "qrs"})
    qrels = Qrels({"q": {"a": 0}, "r": {"b": 1}, "s": {"b": 1}})
    for measure in ("nDCG@2", "AP", "RR", "P@2", "R@2"):
        with refused(f"query r: trec_eval's code gave no {measure}"):
            evaluate(run, qrels, [measure])
    # Nothing relevant within the depth: zero is the value, unless it is missing.
    if failure == "zero":
        assert evaluate(run, qrels, ["P@1"])["value"].tolist() == [0.0] * 3


def test_ids_that_trec_eval_cannot_read():
    with refused("document 'a.x00b' holds a null character"):
        evaluate(Run({"q": [("a\0b", 1.0)]}), Qrels({"q": {"a": 1}}), ["AP"])
    with refused("trec_eval cannot read the ids or grades", "ids are texts"):
        evaluate(Run({1: [("a", 1.0)]}), Qrels({1: {"a": 1}}), ["AP"])


@pytest.mark.parametrize("name", ["", "a b", "a\ud800", "a\tb", "a\u200b", "\x1b[2J"])
def test_ids_that_no_trec_file_can_hold_are_not_written(tmp_path, name):
    with refused("a.run: ", "is no line of a run"):
        Run({"q": [(name, 1.0)]}).save(tmp_path / "a.run")
    with refused("a.run: ", "is no line of a run"):
        Run({"q": [("a", 1.0)]}, name).save(tmp_path / "a.run")
    with refused("a.tsv: ", "is no line of qrels"):
        Qrels({name: {"a": 1}}).save(tmp_path / "a.tsv")
    assert not list(tmp_path.iterdir())


def test_nothing_is_printed_before_a_failure(tmp_path, capsys):
    Run({"q": [("a", 1.0)]}).save(tmp_path / "good.run")
    Run({"other": [("a", 1.0)]}).save(tmp_path / "bad.run")
    (tmp_path / "qrels").write_text("q 0 a 1\n")
    runs = [str(tmp_path / name) for name in ("good.run", "bad.run")]
    assert main(["evaluate", *runs, "--qrels", str(tmp_path / "qrels")]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"run {tmp_path}/bad.run and the qrels share no query" in captured.err


def test_a_run_without_judged_queries_is_told_once(caplog):
    run = Run({"q1": [("a", 1.0)]}, "one of eight")
    qrels = Qrels({f"q{n}": {"a": 1} for n in range(1, 9)})
    for _ in range(2):
        evaluate(run, qrels, ["RR"])
    told = [record.getMessage() for record in caplog.records]
    assert told == ["run one of eight: 7 of 8 judged queries are missing, counted as 0"]
    evaluate(Run({"q1": [("a", 1.0)]}, "quiet"), qrels, ["RR"], tell=False)
    assert len(caplog.records) == 1


def test_grades_of_json_are_whole_numbers_too(tmp_path, capsys):
    entry = json.dumps(labelled(0)).replace('"grade": 2', f'"grade": {"9" * 5000}')
    (tmp_path / "a.jsonl").write_text(entry + "\n")
    arguments = ["profile", str(tmp_path / "a.jsonl"), "--model", "none", "-o", "none"]
    assert "a.jsonl:1: not a line of JSON in UTF-8 (a number of 5000 digits)" in (
        refused_by_command(capsys, arguments)
    )
