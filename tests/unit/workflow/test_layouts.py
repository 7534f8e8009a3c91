"""Layouts of the prompt in a config: who follows whom, what is read once, what is refused."""

from copy import deepcopy
from types import SimpleNamespace

import pytest

from headrank.options.prompt import PromptOptions
from headrank.workflow.agreements import agreement_pairs, agreement_runs, twins
from headrank.workflow.config.checks import configure
from headrank.workflow.config.layouts import layers_read, method_layout, prompt_in
from headrank.workflow.experiment import Experiment
from headrank.workflow.timed import (
    latency_files,
    stored_of,
    timed_attention,
    timed_files,
    timed_names,
    timed_systems,
)
from tests.helpers.base_config import BASE, message
from tests.helpers.small_experiment import experiment as small
from tests.helpers.small_experiment import rows


def with_block(config):
    """Add heads of layout block, an untuned and an aligned method of them, and ICR apart."""
    config["selections"]["apart"] = {"criterion": "graded", "layout": "block"}
    config["alignments"]["apart"] = config["alignments"]["insuranceqa"] | {"selection": "apart"}
    config["methods"] |= {
        "apart-untuned": {"heads": "apart"},
        "apart": {"heads": "apart", "adapter": "apart"},
        "icr-apart": {"heads": "all", "layout": "block"},
    }
    config["experiment"]["methods"] += ["apart-untuned", "apart", "icr-apart"]


def changed(change=with_block):
    config = deepcopy(BASE)
    change(config)
    return config


def made(change=with_block):
    config = changed(change)
    configure(config)
    return Experiment(config, "out")


def named(**wildcards):
    return SimpleNamespace(**wildcards)


def test_a_method_follows_its_adapter_its_heads_and_last_the_prompt():
    x = made()
    layouts = {name: x.layout_of(name) for name in ("apart-untuned", "apart", "icr-apart")}
    assert set(layouts.values()) == {"block"}
    assert x.layout_of("headrank") == x.layout_of("icr") == x.layout_of("bm25") == "joint"
    assert x.layout_of("apart-untuned+bm25") == "block"

    def everywhere(config):
        config["prompt"] = {"layout": "block"}

    assert made(everywhere).layout_of("headrank") == "block"


def test_files_of_joint_methods_stay_where_they_were():
    def files(x):
        cells = [cell for cell in x.cells if "apart" not in cell[4]]
        return [(x.run_of(cell), x.made_from(cell)) for cell in cells]

    assert files(made()) == files(made(lambda config: None))
    heads = named(model="smollm2", selection="headrank")
    assert made().selection_profile(heads) == "out/profiles/smollm2/profile.npz"


def test_readings_hold_the_layers_that_their_layout_may_use():
    def limited(config):
        with_block(config)
        config["selections"]["apart"]["layers"] = [0, 18]
        config["selections"]["apart-near"] = {"layers": [2, 11], "layout": "block"}
        config["selections"]["once"] = {"layers": [0, 3], "layout": "block+query"}
        del config["methods"]["icr-apart"]
        config["experiment"]["methods"].remove("icr-apart")

    def icr(config):
        limited(config)
        config["methods"]["icr-apart"] = {"heads": "all", "layout": "block"}

    def unlimited(config):
        limited(config)
        config["selections"]["apart-near"]["layers"] = None

    def ablated(config):
        limited(config)
        config["ablations"] = {
            "layers": {
                "method": "apart-untuned",
                "key": "selection.layers",
                "values": [[0, 25]],
            }
        }

    def depth(change, layout="block"):
        return layers_read(made(change).config, layout)

    assert depth(limited) == 19 and depth(limited, "block+query") == 4
    # Methods of all heads need all layers, declared or used; so do selections without a limit.
    assert depth(icr) is depth(unlimited) is depth(limited, "joint") is None
    assert depth(ablated) == 26
    reading = named(adapter="none", order="block")
    assert made(limited).reading_layers(reading) == 19
    assert made(limited).reading_layers(named(adapter="none", order="shuffled")) is None
    # With an adapter its own heads tell.
    assert made(limited).reading_layers(named(adapter="apart-1", order="block")) is None


def test_an_adapter_of_both_layouts_has_its_heads_read_in_both():
    config = {
        "selections": {"near": {"layers": [0, 3]}, "far": {"layers": [1, 9], "layout": "block"}},
        "alignments": {"both": {"selection": "far", "options": {"both_layouts": True}}},
        "methods": {},
    }
    assert (layers_read(config, "joint"), layers_read(config, "block")) == (10, 10)
    config["alignments"]["both"]["options"] = {}
    assert (layers_read(config, "joint"), layers_read(config, "block")) == (4, 10)


def test_a_list_read_apart_is_read_once_and_ranked_in_each_order():
    x = made()
    cells = [cell for cell in x.cells if cell[4] == "apart-untuned" and cell[0] == x.sets[0]]
    assert [cell[3] for cell in cells] == x.config["orders"] and len(cells) > 1
    read = {path for cell in cells for path in x.made_from(cell) if "/readings/" in path}
    assert {path.rpartition("/")[0] for path in read} == {
        f"out/readings/{x.sets[0]}/smollm2/none/block"
    }
    heads = named(model="smollm2", selection="apart")
    assert x.selection_profile(heads) == "out/profiles/smollm2/block/profile.npz"
    profiled = x.profiled(named(model="smollm2", layout="block"))
    assert {path.rpartition("/")[0] for path in profiled} == {
        f"out/readings/{name}/smollm2/none/block" for name in x.config["profiling"]["sets"]
    }


def test_a_truncated_method_read_apart_has_one_set_of_parts():
    def change(config):
        with_block(config)
        config["methods"]["apart-untuned"]["truncated"] = True

    x = made(change)
    parts = {
        tuple(x.parts_of(named(cell=f"lee/smollm2/none/{order}", method="apart-untuned")))
        for order in x.config["orders"]
    }
    ((first, *_),) = parts
    assert first == "out/parts/lee/smollm2/none/block/apart-untuned/0.run"
    cross = x.parts_of(named(cell="lee", method="minilm"))
    assert cross[0] == "out/parts/lee/minilm/0.run"


def test_the_prompt_of_each_layout():
    x = made()
    own = x.config["prompt"]
    assert x.reading_prompt(named(order="shuffled")) == own
    assert x.reading_prompt(named(order="block")) == own | {"layout": "block"}
    assert x.prompt_of(named(method="apart")) == own | {"layout": "block"}
    assert x.prompt_of(named(method="minilm")) == own
    training = x.training_prompt(named(adapter="apart-1"))
    assert (training["layout"], training["document_tokens"]) == (
        "block",
        x.recipes["apart"]["document_tokens"],
    )
    assert "layout" not in x.training_prompt(named(adapter="insuranceqa-1"))
    assert timed_attention(x, "smollm2")["apart"]["heads"].endswith("heads/apart.json")


def test_a_joint_method_beside_a_block_prompt_takes_its_own_marker_and_no_offset():
    config = {"prompt": {"layout": "block", "marker": "Passage: ", "query_offset": 300}}
    assert PromptOptions(**prompt_in(config, "joint")) == PromptOptions()
    config = {"prompt": {"marker": "[{number}] "}}
    assert PromptOptions(**prompt_in(config, "block")) == PromptOptions(layout="block")


def broken(part, name, **keys):
    def change(config):
        with_block(config)
        config[part][name].update(keys)

    return change


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            broken("methods", "headrank", layout="block"),
            "methods.headrank.layout is 'block'; allowed: 'joint', the layout of adapter "
            "insuranceqa; heads and adapters belong to a layout, so name others, or set "
            "alignments.insuranceqa.layout",
        ),
        (
            broken("methods", "core", layout="block"),
            "methods.core.layout is 'block'; allowed: 'joint', the layout of selection core",
        ),
        (
            broken("alignments", "apart", layout="joint"),
            "alignments.apart.layout is 'joint'; allowed: 'block', the layout of selection apart",
        ),
        (
            broken("selections", "apart", layout="blocks"),
            "selections.apart.layout is 'blocks'; allowed: joint, block, block+query",
        ),
        (
            lambda config: (with_block(config), config["prompt"].update(marker="Text {number}: ")),
            "methods.apart reads layout block: prompt.marker is 'Text {number}: '; allowed in",
        ),
    ],
)
def test_what_belongs_to_another_layout_is_refused(change, expected):
    assert expected in message(changed(change))


def both(config):
    with_block(config)
    config["alignments"]["insuranceqa"]["options"] = {"both_layouts": True}
    config["methods"]["served"] = {"heads": "headrank", "adapter": "insuranceqa", "layout": "block"}
    config["experiment"]["methods"].append("served")


def test_an_adapter_trained_in_both_layouts_serves_both():
    x = made(both)
    assert method_layout(x.config, "served") == "block" and x.layout_of("headrank") == "joint"
    for method in ("served", "headrank"):
        heads = x.ranking_heads(named(method=method, model="smollm2", adapter="insuranceqa-1"))
        assert heads == ["out/adapters/smollm2/insuranceqa-1/heads.json"]
        assert timed_attention(x, "smollm2")[method]["heads"] == heads[0]
    path, *_ = x.readings(["lee"], "smollm2", "insuranceqa-1", layout="block")
    assert path == "out/readings/lee/smollm2/insuranceqa-1/block/0.npz"

    def again(config):
        both(config)
        config["methods"]["served"]["reselect"] = True

    expected = "methods.served.reselect is true; allowed: false in layout block"
    assert expected in message(changed(again))


def test_a_figure_of_what_readings_lack_is_refused():
    """A truncated method reads for itself; the report's figures fold readings."""

    def in_a_panel(config):
        config["reading"] = {**config["reading"], "tokens": "none"}
        for method in config["methods"].values():
            method.pop("outliers", None)
        pruned = {"heads": "headrank", "calibrate": True, "outliers": True, "truncated": True}
        config["methods"]["pruned"] = pruned
        config["experiment"]["methods"].append("pruned")
        config["report"] = {**config["report"], "panels": ["pruned"]}

    expected = "report.panels.0 is 'pruned'; allowed: another method, since its figures fold"
    told = message(changed(in_a_panel))
    assert expected in told and "(set reading.tokens to 'all')" in told


def test_a_method_that_only_the_report_shows_keeps_its_sets_apart():
    """Its adapter is trained: no query of its training may stand among those that choose it."""

    def in_a_panel(config):
        for name in [one for one in config["experiment"]["methods"] if "headrank" in one]:
            config["experiment"]["methods"].remove(name)
        config["evaluation"]["comparisons"] = []
        config["report"] = {**config["report"], "panels": ["headrank"], "baseline": None}

    recipe = BASE["alignments"]["insuranceqa"]
    x = made(in_a_panel)
    assert "headrank" not in x.methods
    assert {*recipe["training"], recipe["validation"]} <= x.used_roles().keys()


def test_heads_selected_anew_are_not_timed_as_those_before():
    def again(config):
        config["methods"]["anew"] = {**config["methods"]["headrank"], "reselect": True}
        config["experiment"]["methods"].append("anew")

    x = made(again)
    assert "anew" in x.methods and "anew" not in timed_attention(x, "smollm2")
    assert "headrank" in timed_attention(x, "smollm2")


def test_block_methods_and_encoders_are_timed_behind_stored_documents_too():
    x = made()
    stored = stored_of(x, "smollm2")
    assert stored == {
        f"{name}.stored": name for name in ("apart-untuned", "apart", "icr-apart", "minilm")
    }
    assert "out/latency/smollm2.csv" in latency_files(x, "smollm2")
    files = timed_files(x, "smollm2")
    assert len(files) == len(set(files))
    systems = timed_systems(x, "smollm2")
    assert systems["apart.stored"] == systems["apart"] | {"stored": True}
    assert systems["apart.stored"]["prompt"] == x.config["prompt"] | {"layout": "block"}
    assert systems["headrank"]["prompt"] == x.config["prompt"]
    names = timed_names(x, "smollm2")
    assert names["apart.stored"] == "apart, documents stored"
    assert names["minilm.stored"] == "MiniLM, vectors stored"


def test_what_depends_on_the_query_is_not_stored():
    def change(config):
        with_block(config)
        config["selections"]["apart"]["layout"] = "block+query"
        config["methods"].pop("icr-apart")
        config["experiment"]["methods"].remove("icr-apart")

    x = made(change)
    assert set(stored_of(x, "smollm2")) == {"minilm.stored"}
    assert x.made_from(("lee", "smollm2", "none", "shuffled", "apart-untuned"))[0].startswith(
        "out/readings/lee/smollm2/none/block+query/"
    )


def test_twins_differ_in_their_layout_alone():
    def change(config):
        with_block(config)
        config["selections"]["apart"] = config["selections"]["headrank"] | {"layout": "block"}
        for name in ("apart", "apart-untuned"):
            config["methods"][name]["aggregation"] = "log-sum"

    assert twins(made(change)) == [
        ("all-raw", "icr-apart"),
        ("headrank-untuned", "apart-untuned"),
        ("headrank", "apart"),
    ]
    x = made()
    assert twins(x) == [("all-raw", "icr-apart")]
    pairs = agreement_pairs(x, "smollm2")
    runs = agreement_runs(x, "smollm2")
    first = pairs[0]
    assert [runs[place].rpartition("none/")[2] for place in first["files"]] == [
        "shuffled/all-raw.run",
        "shuffled/icr-apart.run",
    ]
    # For scale: the joint method in another order.
    assert [pair["second_order"] for pair in pairs[:2]] == ["", "first-stage"]


def test_an_estimate_counts_a_block_reading_once():
    methods = ["bm25", "icr", "headrank-untuned", "headrank"]
    plain = rows(small())["readings", "smollm2"].queries
    orders = len(small()["orders"])
    assert plain == 30 * orders + 20
    config = small(
        selections__apart={"criterion": "graded", "layout": "block"},
        methods__apart={"heads": "apart"},
        experiment__methods=[*methods, "apart"],
    )
    assert rows(config)["readings", "smollm2"].queries == plain + 30 + 20
    config = small(prompt={"document_tokens": 80, "layout": "block"})
    assert rows(config)["readings", "smollm2"].queries == 30 + 20
    seeds = len(config["alignments"]["insuranceqa"]["seeds"])
    assert rows(config)["aligned readings", "smollm2"].queries == 30 * seeds


def test_a_query_alone_is_aligned_only_where_documents_do_not_see_it():
    def tokens(layout, **options):
        def change(config):
            with_block(config)
            config["selections"]["apart"]["layout"] = layout
            config["alignments"]["apart"] |= {"options": {"tokens": "query", **options}}

        return change

    for layout in ("block", "block-tenth"):
        assert made(tokens(layout)).layout_of("apart") == layout
    for layout, options in (("joint", {}), ("block+query", {}), ("block", {"both_layouts": True})):
        seen = "joint" if options else layout
        told = f"alignments.apart.options.tokens is 'query'; allowed: 'all' in layout {seen}"
        assert told in message(changed(tokens(layout, **options)))
