"""What a finished run tells in the terminal."""

import os

from headrank.workflow.ending import Shown, ending

MAIN = """set,model,adapter,order,method,mean,n,low,high
s,-,-,shuffled,bm25,0.5,4,0,1
t,-,-,shuffled,bm25,0.25,2,0,1
s,m,none,shuffled,icr,0.25,4,0,1
t,m,none,shuffled,icr,0.75,2,0,1
s,m,none,reversed,icr,0.9,4,0,1
"""
TESTS = """model,set,order,measure,system,baseline,n,mean_difference,low,high,p,p_holm,p_t
m,s,shuffled,nDCG@10,icr,bm25,4,-0.25,-0.3,-0.1,0.01,0.02,0.1
m,t,shuffled,nDCG@10,icr,bm25,2,0.5,-0.1,0.9,0.5,0.5,0.5
"""


def told(root, sets=("s", "t")):
    methods = ["bm25", "icr", "absent"]
    shown = Shown(methods, sets, "shuffled", "nDCG@10", alpha=0.05, names={"s": "Set"})
    return ending(root, shown, "snakemake report")


def test_table_tests_and_report_are_told(tmp_path):
    for name, text in (("tables/main.csv", MAIN), ("evaluation/significance.csv", TESTS)):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text)
    (tmp_path / "manifest.json").write_text("{}")
    assert told(tmp_path).split("\n") == [
        "nDCG@10, order of the prompt: shuffled",
        "      Set (n = 4)  t (n = 2)  mean of sets",
        "BM25        0.500      0.250         0.375",
        "ICR         0.250      0.750         0.500",
        "",
        "1 of 2 comparisons differ (permutation test, p < 0.05 after Holm's correction):",
        "  ICR less BM25, Set, shuffled: -0.250 [-0.300, -0.100], p = 0.02",
        "",
        f"Tables: {tmp_path}/tables; figures: {tmp_path}/figures; "
        f"report: `snakemake report` writes {tmp_path}/report.html",
    ]
    (tmp_path / "report.html").write_text("x")
    assert told(tmp_path).endswith(f"report: {tmp_path}/report.html")
    # A report of earlier results is not theirs.
    os.utime(tmp_path / "report.html", (1, 1))
    assert "`snakemake report` writes" in told(tmp_path)


def test_seconds_behind_stored_documents_are_told(tmp_path):
    (tmp_path / "tables/latency").mkdir(parents=True)
    (tmp_path / "tables/latency/m.csv").write_text(
        "method,seconds\nbm25,0.001\nicr,2.5\nicr.stored,0.0714\nabsent.stored,1\n"
    )
    shown = Shown(["icr"], ["s"], "shuffled", "nDCG@10", alpha=0.05, names={})
    stored = {"m": {"icr.stored": "icr", "absent.stored": "absent"}, "other": {"a": "b"}}
    text = ending(tmp_path, shown, "make it", stored)
    title, line, *_ = text.split("\n")
    assert title == "Seconds that a list takes with a store of its documents:"
    assert line == "  ICR: 0.071 s, 2.500 s without it"


def test_of_many_sets_the_mean_is_told_alone(tmp_path):
    (tmp_path / "tables").mkdir()
    sets = [f"s{n}" for n in range(8)]
    rows = [f"{name},-,-,-,bm25,0.{n},4,0,1" for n, name in enumerate(sets)]
    head = MAIN.split("\n")[0]
    (tmp_path / "tables/main.csv").write_text("\n".join([head, *rows]) + "\n")
    assert "\n      mean of sets\nBM25         0.350\n" in told(tmp_path, sets)


def test_without_tables_only_the_folders_are_told(tmp_path):
    assert told(tmp_path).startswith("Tables: ")
