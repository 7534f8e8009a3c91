"""How far two rankings agree, by hand."""

import math

import pandas as pd
import pytest

from headrank.data.trec import Run
from headrank.errors import HeadRankError
from headrank.evaluation.agreement import agreement
from headrank.report.tables.agreement import agreement_table, tabulate_agreement


def run(name="one", **orders):
    """Return a run whose queries rank the letters of a text, best first."""
    return Run(
        {query: [(d, float(-n)) for n, d in enumerate(text)] for query, text in orders.items()},
        name,
    )


def test_tau_and_overlap_by_hand():
    # abcd against bacd: one of six pairs turned round, so (5 - 1) / 6; the first two are shared.
    found = agreement(run(q="abcd", r="ab", s="a"), run(q="bacd", r="ba", s="a"), top=1)
    assert found["query"].tolist() == ["q", "r", "s"]
    assert found["tau"].tolist()[:2] == pytest.approx([4 / 6, -1])
    assert math.isnan(found["tau"][2])
    assert found["overlap"].tolist() == [0, 0, 1]
    wider = agreement(run(q="abcd", r="ab"), run(q="bacd", r="ba"), top=3)
    assert wider["overlap"].tolist() == [1, 1]
    assert agreement(run(q="abcd"), run(q="dcba"), top=2)["overlap"].tolist() == [0]


def test_other_queries_or_documents_are_refused():
    with pytest.raises(HeadRankError, match="query r stands in one of the runs one and two alone"):
        agreement(run(q="ab"), run("two", q="ab", r="ab"))
    with pytest.raises(HeadRankError, match="query q: the runs one and two rank different docu"):
        agreement(run(q="ab"), run("two", q="ac"))


def test_the_table_joins_seeds_and_names_both_sides(tmp_path):
    paths = []
    texts = (("abcd", "abcd"), ("abcd", "dcba"), ("dcba", "dcba"), ("abcd", "abcd"))
    for number, (one, other) in enumerate(texts):
        run(f"r{number}", q=one, p=other).save(tmp_path / f"{number}.run")
        paths.append(str(tmp_path / f"{number}.run"))
    named = {"set": "s", "first": "icr", "first_order": "shuffled"}
    pairs = [
        named | {"second": "apart", "second_order": "", "files": [0, 1]},
        named | {"second": "apart", "second_order": "", "files": [0, 2]},
        named | {"second": "icr", "second_order": "reversed", "files": [0, 3]},
    ]
    options = {"confidence": 0.95, "seed": 1, "names": {"apart": "ICR, blocks", "s": "Set"}}
    table = tabulate_agreement(paths, pairs=pairs, **options)
    first, second = table.rows
    assert [cell.value for cell in first.cells[:2]] == ["ICR, shuffled", "ICR, blocks"]
    assert [cell.value for cell in second.cells[:2]] == ["ICR, shuffled", "ICR, reversed"]
    assert first.section == "Set (n = 2)"
    # Query q: 1 and -1 of the seeds; query p: -1 and -1.
    assert first.cells[2].value == pytest.approx((0 - 1) / 2)
    assert second.cells[2].value == pytest.approx(1)
    assert "the joint method with itself" in " ".join(table.notes)
    assert isinstance(table.tidy, pd.DataFrame) and len(table.tidy) == 6
    assert len(agreement_table(table.tidy, **options).rows) == 2
