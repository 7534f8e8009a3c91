"""Claims: judged on what they are about, by numbers worked out by hand, and nowhere else."""

import numpy as np
import pandas as pd
import pytest

from headrank.errors import HeadRankError
from headrank.report.claims.ledger import CLAIMS, SCALES, judge
from headrank.report.claims.measures import BENCHMARKS, Evidence, Setup
from headrank.report.claims.others import COLUMNS, OTHERS
from headrank.report.tables.claims import claims_tables, in_order, others_table, summary

MODELS = {f"qwen3-{scale}": repository for scale, repository in SCALES.items()}
SETS = {f"s{number}": f"{key}/test" for number, key in enumerate(BENCHMARKS)}
METHODS = {"headrank": 0.5, "listwise": 0.4, "icr": 0.3}
QUERIES = 6


def setup(**changes):
    usual = {
        "method": "headrank",
        "rivals": {"listwise": "generative", "icr": "decoding-free"},
        "models": MODELS,
        "sets": SETS,
        "report_set": "s2",
        "order": "shuffled",
        "candidates": 40,
    }
    return Setup(**(usual | changes))


def per_query(models=MODELS, sets=SETS, change=None):
    """Return values that differ by query and set alike for every method."""
    rows = []
    for model in models:
        for place, name in enumerate(sets):
            for method, level in METHODS.items():
                for query in range(QUERIES):
                    value = level + 0.02 * query - 0.01 * place
                    rows.append((name, model, "shuffled", method, f"q{query}", "nDCG@10", value))
    names = ["set", "model", "order", "method", "query", "measure", "value"]
    table = pd.DataFrame(rows, columns=names)
    if change is not None:
        change(table)
    return table


def middle(relevant=0.574, other=0.142, width=0.02):
    rates = {"relevant": relevant, "other": other, "gap": relevant - other}
    return pd.DataFrame(
        {
            "kind": list(rates),
            "rate": list(rates.values()),
            "low": [rate - width for rate in rates.values()],
            "high": [rate + width for rate in rates.values()],
            "documents": [30, 70, 100],
            "queries": [9, 10, 10],
            "system": "headrank",
        }
    )


def evidence(table=None, **changes):
    usual = {
        "middle": {model: middle() for model in MODELS},
        "formatting": {("qwen3-4B", "listwise"): 0.75},
        "training": {model: [(211, 208)] * 2 for model in MODELS},
        "layers": {model: (25, 36, 8) for model in MODELS},
    }
    return Evidence(per_query() if table is None else table, **(usual | changes))


def status(ledger):
    return {(row.claim, row.scale): row.status for row in ledger.itertuples()}


def of(ledger, claim, scale):
    (row,) = ledger[(ledger["claim"] == claim) & (ledger["scale"] == scale)].to_dict("records")
    return row


def test_a_whole_run_judges_every_claim():
    ledger = judge(CLAIMS, setup(), evidence())
    beside = ledger["status"] == "analogue"
    assert set(ledger.loc[~beside, "status"]) == {"reproduced"}
    assert (~beside).sum() == 3 * 2 + 3 + 3 * 3
    # The middle zone is claimed at 4B alone.
    assert set(ledger.loc[beside, "claim"]) == {"middle-relevant", "middle-other", "middle-gap"}
    assert set(ledger.loc[beside, "model"]) == {"qwen3-0.6B", "qwen3-1.7B"}
    row = of(ledger, "highest-average", "4B")
    assert (row["model"], row["n"]) == ("qwen3-4B", 14 * QUERIES)
    # Every query differs by .1 from the best rival, so the bootstrap has no spread.
    assert [row[k] for k in ("value", "low", "high")] == pytest.approx([0.1] * 3)
    assert "best of 2 baselines: Listwise generation 0.385, difference +0.100" in row["measured"]
    row = of(ledger, "majority", "0.6B")
    assert [row[k] for k in ("value", "low", "high", "n")] == [14, 14, 14, 14]
    row = of(ledger, "middle-gap", "4B")
    assert (row["value"], row["n"], row["unit"]) == (pytest.approx(43.2), 100, "points")
    row = of(ledger, "formatting", "4B")
    assert (row["value"], row["n"]) == (100, 14 * QUERIES)
    assert "Listwise generation 75.0 %" in row["measured"]
    row = of(ledger, "training-queries", "4B")
    assert (row["value"], row["status"]) == (211, "reproduced")
    assert "211 labelled queries (208 gave pairs)" in row["measured"]
    assert of(ledger, "depth-truncation", "1.7B")["value"] == pytest.approx(100 * 25 / 36)


def test_a_group_counts_as_one_set_beside_the_papers_claims_only():
    groups = {"most": [f"s{number}" for number in range(13)]}
    ours = {"qwen3-4B": "", "mine": ""}
    table = per_query(models=ours)
    # Ahead on the thirteen sets of the group, behind on the last.
    last = (table["set"] == "s13") & (table["method"] == "headrank")
    table.loc[last, "value"] -= 0.5
    found = evidence(table, middle={}, training={}, layers={}, formatting={})
    rows = judge(CLAIMS, setup(models=ours, groups=groups), found)
    row = rows[(rows["claim"] == "majority") & (rows["model"] == "mine")].iloc[0]
    assert (row["value"], row["n"]) == (1, 2)
    row = rows[(rows["claim"] == "highest-average") & (rows["model"] == "mine")].iloc[0]
    assert row["value"] == pytest.approx((0.1 - 0.4) / 2)
    # A claim of the paper counts each benchmark, whatever the report joins.
    whole = of(judge(CLAIMS, setup(groups=groups), evidence()), "majority", "4B")
    assert (whole["value"], whole["n"]) == (14, 14)


def test_what_the_claim_is_not_about_stands_beside_it_by_name():
    table = per_query(["qwen3-4B"])
    first = table[table["method"] == "icr"].assign(model="-", order="-", method="bm25")
    first["value"] += 0.4  # BM25 is above all of them
    found = evidence(pd.concat([table, first]), middle={}, training={}, layers={})
    ledger = judge(CLAIMS, setup(beside=["bm25", "minilm"]), found)
    row = of(ledger, "highest-average", "4B")
    assert "best of 2 baselines: Listwise generation 0.385" in row["measured"]
    assert row["measured"].endswith("outside the claim: BM25 0.685")
    # A claim about baselines is judged on those alone.
    assert row["status"] == "reproduced"
    row = of(ledger, "majority", "4B")
    assert row["status"] == "reproduced"
    assert row["measured"].endswith("sets on which it is ahead of others: BM25 0")


def test_the_difference_of_averages_is_tested_query_by_query():
    def change(table):
        ours = (table["method"] == "headrank") & table["set"].eq("s0")
        table.loc[~ours & (table["method"] == "headrank"), "value"] -= 0.1
        table.loc[ours, "value"] += 0.3

    sets = {"s0": SETS["s0"], "s1": SETS["s1"]}
    table = per_query(["mine"], sets, change)
    rows = judge(CLAIMS, setup(models={"mine": ""}, sets=sets), evidence(table, middle={}))
    row = rows[(rows["claim"] == "highest-average") & (rows["status"] == "analogue")].iloc[0]
    # On s0 all six queries gain .4, on s1 none differs: 2 of 64 patterns.
    assert "difference +0.200, p = 0.0312" in row["measured"]


def test_one_scale_behind_is_not_reproduced():
    def change(table):
        ours = (table["model"] == "qwen3-1.7B") & (table["method"] == "headrank")
        behind = ours & ~table["set"].isin(["s0", "s1", "s2", "s3", "s4", "s5"])
        table.loc[behind, "value"] -= 0.25

    found = status(judge(CLAIMS, setup(), evidence(per_query(change=change))))
    assert found["highest-average", "1.7B"] == found["majority", "1.7B"] == "not reproduced"
    assert found["highest-average", "4B"] == found["majority", "0.6B"] == "reproduced"


def test_a_high_average_without_the_majority_is_told_apart():
    def change(table):
        ours = table["method"] == "headrank"
        table.loc[ours, "value"] -= 0.15
        table.loc[ours & table["set"].isin(["s0", "s1"]), "value"] += 2

    ledger = judge(CLAIMS, setup(), evidence(per_query(change=change)))
    assert of(ledger, "highest-average", "4B")["status"] == "reproduced"
    row = of(ledger, "majority", "4B")
    assert (row["status"], row["value"]) == ("not reproduced", 2)


def test_a_rate_must_hold_the_published_one():
    ledger = judge(CLAIMS, setup(), evidence(middle={"qwen3-4B": middle(0.60, 0.15)}))
    assert of(ledger, "middle-relevant", "4B")["status"] == "not reproduced"
    assert of(ledger, "middle-other", "4B")["status"] == "reproduced"
    assert of(ledger, "middle-gap", "4B")["status"] == "reproduced"


@pytest.mark.parametrize(
    ("changes", "claim", "reason"),
    [
        ({"candidates": 20}, "highest-average", "lists hold 20 candidates, not 40"),
        ({"sets": SETS | {"s3": ""}}, "majority", "1 of 14 benchmarks are not evaluated whole"),
        ({"sets": SETS | {"s3": "beir/msmarco"}}, "majority", "1 of 14 benchmarks"),
        ({"models": {"qwen3-4B": ""}}, "training-queries", "Qwen3-4B is none of the models"),
        ({"report_set": "mine"}, "middle-gap", "report.set is none of the benchmarks"),
        ({"sets": dict.fromkeys(SETS, "")}, "formatting", "none of the benchmarks is evaluated"),
        ({"rivals": {"icr": "decoding-free"}}, "majority", "no generative baseline is evaluated"),
        ({"rivals": {}}, "majority", "no generative and no decoding-free baseline is evaluated"),
        ({"method": "mine"}, "highest-average", "mine is not evaluated"),
    ],
)
def test_what_a_claim_is_not_about_judges_nothing(changes, claim, reason):
    ledger = judge(CLAIMS, setup(**changes), evidence())
    row = of(ledger, claim, "4B")
    assert row["status"] == "not run"
    assert reason in row["reason"]


def test_other_training_and_full_depth_judge_as_they_should():
    found = evidence(
        training={"qwen3-4B": [(140, 140)], "qwen3-1.7B": [(211, 211), (140, 140)]},
        layers={"qwen3-4B": (36, 36, 8)},
        middle={},
    )
    ledger = judge(CLAIMS, setup(), found)
    row = of(ledger, "training-queries", "4B")
    assert (row["status"], row["reason"]) == ("not run", "the claim is about 211")
    assert of(ledger, "training-queries", "1.7B")["status"] == "not run"
    assert of(ledger, "training-queries", "0.6B")["reason"] == "no adapter was trained"
    assert of(ledger, "depth-truncation", "4B")["status"] == "not reproduced"
    assert of(ledger, "depth-truncation", "0.6B")["reason"] == "no heads were selected"
    assert "middle zone was not followed" in of(ledger, "middle-other", "4B")["reason"]


def small():
    """Return what the demo is like: another model, samples, no generative method."""
    rivals = {"icr": "decoding-free"}
    sets = {"tags": "", "lee": ""}
    changes = {"report_set": "lee", "candidates": 20, "names": {"lee": "Lee"}}
    made = setup(models={"smollm2": ""}, sets=sets, rivals=rivals, **changes)
    found = evidence(
        per_query(["smollm2"], sets),
        middle={"smollm2": middle()},
        training={"smollm2": [(140, 140)]},
        layers={"smollm2": (19, 30, 8)},
        formatting={},
    )
    return judge(CLAIMS, made, found)


def test_a_demo_reproduces_nothing_and_shows_its_own_numbers():
    ledger = small()
    known = ledger[ledger["status"] != "analogue"]
    assert set(known["status"]) == {"not run"} and not known["n"].any()
    beside = ledger[ledger["status"] == "analogue"].set_index("claim")
    assert set(beside.index) == {claim.key for claim in CLAIMS}
    assert set(beside["model"]) == {"smollm2"} and set(beside["sets"]) == {"tags lee"}
    assert beside.loc["highest-average", "value"] == pytest.approx(0.2)
    assert beside.loc["majority", "value"] == 2
    assert beside.loc["training-queries", "value"] == 140


def test_methods_on_different_queries_are_refused():
    table = per_query().drop(index=3)
    with pytest.raises(HeadRankError, match="set s0: methods were evaluated on different queries"):
        judge(CLAIMS, setup(), evidence(table))


def test_the_interval_is_that_of_a_bootstrap_over_queries():
    def change(table):
        noise = np.random.default_rng(3).normal(0, 0.2, len(table))
        table["value"] += np.where(table["method"] == "headrank", noise, 0)

    table = per_query(["qwen3-4B"], change=change)
    row = of(judge(CLAIMS, setup(), evidence(table)), "highest-average", "4B")
    wide = table.pivot(index=["set", "query"], columns="method", values="value")
    gaps = (wide["headrank"] - wide["listwise"]).groupby("set")
    # Of a mean over sets, drawn again within each: the sum of the variances of their means.
    error = np.sqrt((gaps.var(ddof=0) / QUERIES).sum()) / len(SETS)
    assert row["value"] == pytest.approx(gaps.mean().mean())
    assert row["high"] - row["low"] == pytest.approx(2 * 1.96 * error, rel=0.08)


def test_the_ledger_prints_published_and_own_numbers_apart():
    judged, beside = claims_tables(
        small().assign(command="snakemake claims"), order="shuffled", names={"lee": "Lee"}
    )
    text = judged.markdown()
    assert "57.4 %" in text and "not run" in text and "snakemake claims" in text
    assert len(judged.rows) == 18
    assert not any("HeadRank 0." in cell.value for row in judged.rows for cell in row.cells[:5])
    text = beside.markdown()
    assert "smollm2 on tags, Lee" in text and "They judge no claim" in text
    assert "57.4 % on Lee, 30 relevant documents of 9 queries" in text
    assert "; the claim is about 211" in text
    assert (
        "57.4 %"
        in claims_tables(judge(CLAIMS, setup(), evidence()).assign(command="x"), order="shuffled")[
            0
        ].markdown()
    )


def test_the_numbers_of_a_model_stand_together():
    ledger = small()
    other = ledger.assign(model=ledger["model"].replace("smollm2", "gemma3-270m"))
    both = pd.concat([ledger, other]).sort_index(kind="stable").assign(command="x")
    _, beside = claims_tables(both, order="shuffled")
    sections = [row.section for row in beside.rows]
    assert sections == sorted(sections, reverse=True) and len(set(sections)) == 2
    assert len(beside.rows) == 2 * len(CLAIMS)
    assert beside.markdown().count("smollm2 on tags, lee") == 1


def test_the_ledger_begins_with_how_many_claims_it_judges():
    ledger = small()
    told = summary(ledger)
    assert told.startswith("This run judges 0 of 18 claims, because ")
    assert "Qwen3-0.6B, Qwen3-1.7B and Qwen3-4B are none of the models; " in told
    assert told.endswith(".")
    assert told.count("lists hold 20 candidates, not 40") == 1
    judged, beside = claims_tables(ledger.assign(command="x"), order="shuffled")
    # Nothing is judged: the numbers of this run stand first.
    assert in_order(ledger, judged, beside) == [beside, judged]
    ledger = judge(CLAIMS, setup(), evidence())
    ends = ledger.loc[ledger["status"] != "analogue", "status"].value_counts()
    count = 18 - ends.get("not run", 0)
    assert count > 0
    assert summary(ledger).startswith(
        f"This run judges {count} of 18 claims ({ends.get('reproduced', 0)} reproduced, "
        f"{ends.get('not reproduced', 0)} not)"
    )
    judged, beside = claims_tables(ledger.assign(command="x"), order="shuffled")
    assert in_order(ledger, judged, beside)[0] is judged


def test_published_numbers_of_others_name_first_stage_and_depth():
    # Golden: the row of QRHead with Llama-3.1-8B in table 2 of arXiv 2506.09944.
    table = others_table()
    row = next(
        r for r in table.rows if [c.value for c in r.cells[:2]] == ["Llama-3.1-8B", "QRHead"]
    )
    assert [c.value for c in row.cells[2:4]] == pytest.approx([0.586, 0.775])
    assert row.cells[-1].value == pytest.approx(0.5)
    assert "BM25 top 200" in row.section and "512" in row.section
    text = table.markdown()
    assert "Contriever top 100" in text and "no cell compares" in text
    for other in OTHERS:
        assert len(other.percent) == len(COLUMNS)
        assert all(10 < value < 100 for value in (*other.percent, other.average))
