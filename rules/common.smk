import functools
import os
import re
import sys
from pathlib import Path
from types import SimpleNamespace

from snakemake.dag import DAG
from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

from headrank.caches import keep_caches_here
from headrank.changes import replaced
from headrank.clock import check_clock
from headrank.codedigest import code_digest
from headrank.config import configure
from headrank.errors import HeadRankError
from headrank.files import json_sha256
from headrank.grid import mined_as, read_sets, shards, split_method, used_recipes
from headrank.originals import (
    Hashes,
    check_originals,
    noted,
    originals,
    place,
    replaced_originals,
    shares_a_query,
    short,
    size_problems,
)
from headrank.originals import splits as splits_of
from headrank.planning import look_behind_ancient
from headrank.plainyaml import check_config
from headrank.roles import ROLES, roles, roles_before
from headrank.sources.pypi import pinned_files
from headrank.shown import first_stage_names, other_first_stages, shown, told_first_stage
from headrank.variants import settings

ROOT = Path(workflow.basedir)

keep_caches_here(os.environ, ".")
# A user's collection is an ancient input of what is made from its splits (`settled`).
look_behind_ancient(DAG)

try:
    if workflow.is_main_process:
        check_config(workflow.configfiles, sys.argv[1:])
    configure(config)
except HeadRankError as error:
    raise WorkflowError(str(error)) from None


# A folder of results may be named after all that decides them: results-<config>.
pathvars:
    config=json_sha256(config)[:12],


# What `<results>` in the rules' patterns stands for.
RESULTS = workflow.pathvars.apply("<results>")

try:
    if workflow.is_main_process:
        check_clock([RESULTS, "resources/collections", "resources/models", "resources/indexes"])
        if change := replaced(f"{RESULTS}/manifest.json", config):
            logger.warning(change)
except HeadRankError as error:
    raise WorkflowError(str(error)) from None

MODELS = config["models"]
WEIGHTS = MODELS | config["encoders"]
COLLECTIONS = config["collections"]
SETS = config["sets"]
ROLE = roles(config)
METHODS = config["methods"]
EXPERIMENT = config["experiment"]
RECIPES = config["alignments"]
# Recipes that mine the same pairs share those of the first: {recipe: its first}.
MINED_AS = mined_as(config)
# An adapter is a recipe trained with one seed: {adapter: recipe}.
ADAPTERS = {f"{name}-{seed}": name for name, recipe in RECIPES.items() for seed in recipe["seeds"]}
ADAPTER_FILES = ["headrank.json", "heads.json", "adapter_config.json", "adapter_model.safetensors"]
PINS = {
    archive["file"]: archive
    for entry in [*WEIGHTS.values(), *COLLECTIONS.values()]
    for archive in pinned_files(entry["source"])
}
# Priority of what the training of adapters waits for: it is the longest chain of jobs, and
# started last it would leave all but one core idle.
FIRST = 10
# How many jobs read a set.
SHARDS = {name: shards(config, name) for name in read_sets(config)}
COLLECTION_FILES = ["corpus.jsonl", "queries.jsonl", "qrels.tsv"]
OPTIONAL_FILES = ["candidates.run", "excluded.tsv"]
INDEX_FILES = [
    "index.json",
    "documents.json",
    "vocab.index.json",
    "params.index.json",
    *(f"{part}.csc.index.npy" for part in ("data", "indices", "indptr")),
]
SET_FILES = ["queries.jsonl", "documents.jsonl", "candidates.run", "qrels.tsv", "set.json"]


def code(script):
    """Digest of a script and the library behind it, so that a change of either repeats its jobs."""
    return code_digest(ROOT / f"workflow/scripts/{script}.py", ROOT)


def call_of(*targets):
    """The call that makes some targets, without a path of this machine."""
    files = [Path(path).resolve() for path in workflow.overwrite_configfiles]
    names = [
        path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name
        for path in files
    ]
    options = ["--configfile", *names] if names else []
    return " ".join(["snakemake", "--cores", "all", *targets, *options])


def one_of(names):
    """Regular expression that matches these names, and nothing if there are none."""
    return "|".join(re.escape(name) for name in names) or "(?!)"


def methods_of(*kinds):
    """Declared methods of these kinds."""
    return [name for name, method in METHODS.items() if method["kind"] in kinds]


def sets_of(*among):
    """Sets of these roles that the experiment uses."""
    used = {*EXPERIMENT["sets"], *config["profiling"]["sets"]}
    for name in used_recipes(config):
        used |= {*RECIPES[name]["training"], RECIPES[name]["validation"]}
    return [name for name in SETS if name in used and ROLE[name] in among]


def index_files(collection):
    """Files of a collection's BM25 index, its card first."""
    return [f"resources/indexes/{collection}/{file}" for file in INDEX_FILES]


def set_files(name):
    """Files of a set of queries by kind: `queries`, `documents`, `candidates`, `qrels`, `set`."""
    return {file.split(".")[0]: f"{RESULTS}/sets/{name}/{file}" for file in SET_FILES}


def readings(sets, model, adapter, order):
    """Shards of the readings of some sets."""
    return [
        f"{RESULTS}/readings/{name}/{model}/{adapter}/{order}/{shard}.npz"
        for name in sets
        for shard in range(SHARDS[name])
    ]


def adapters_of(method):
    """Adapters that a method is evaluated with: one a seed of its recipe, or none."""
    recipe = METHODS[split_method(method)[0]].get("adapter")
    if recipe is None:
        return ["none"]
    return [f"{recipe}-{seed}" for seed in RECIPES[recipe]["seeds"]]


def weights_of(wildcards):
    """How a model's weights are loaded."""
    return {key: MODELS[wildcards.model][key] for key in ("dtype", "device")}


def prompt_of(recipe):
    """The prompt of a recipe's training lists."""
    return config["prompt"] | {"document_tokens": recipe["document_tokens"]}


def cells():
    """Every run of the experiment: set, model, adapter, order, method; `-` where one has no say."""
    for name in EXPERIMENT["sets"]:
        for method in EXPERIMENT["methods"]:
            if METHODS[split_method(method)[0]]["kind"] not in ("attention", "generative"):
                yield (name, "-", "-", "-", method)
                continue
            asked = METHODS[split_method(method)[0]].get("orders") or config["orders"]
            for model in EXPERIMENT["models"]:
                for adapter in adapters_of(method):
                    for order in asked:
                        yield (name, model, adapter, order, method)


def run_of(cell):
    """Path of a cell's run."""
    *folders, name = (part for part in cell if part != "-")
    return str(Path(RESULTS, "runs", *folders, f"{name}.run"))


# The user's own files. An object store's times are those of the upload, so there they tell enough.
HASHES = Hashes("resources/.originals.json")


def own_files(*keys):
    """The user's files that the config names under these keys, by name with their hashes."""
    found = [one for one in originals(config, WEIGHTS, COLLECTIONS) if one.key in keys]
    return None if STORED else (noted(found, HASHES) or None)


def is_own(collection):
    """Whether a collection is a folder of the user's on this machine."""
    return not STORED and COLLECTIONS[collection]["source"]["kind"] == "local"


@functools.cache
def own_splits(collection):
    """Queries of each split of a user's folder; None of other collections, or if it is faulty."""
    if not is_own(collection):
        return None
    return splits_of(place(COLLECTIONS[collection]["source"]["path"]))


def settled(collection, parts):
    """Parts of a collection whose content `data_of` tells: of a user's folder their time does not.

    The collection is made anew after any change of the folder, and with it its files' times.
    """
    return ancient(parts) if is_own(collection) else parts


@functools.cache
def data_of(collection, split=None):
    """Digest of what a split of a user's folder is made from, or its corpus alone; else nothing."""
    if not is_own(collection):
        return None
    source = COLLECTIONS[collection]["source"]
    files = own_files(f"collections.{collection}.source.path")
    hashes = next(iter(files.values()))["sha256"]
    own = own_splits(collection)
    if split is None:
        part = None
    else:
        part = hashes if own is None else own.digests.get(split)
    how = {key: value for key, value in source.items() if key != "path"}
    return short([hashes.get("corpus.jsonl"), part, how, code("build_collection")])


def may_share(one, other):
    """Whether two sets may hold the same question: those of a user's folders are read here."""
    known = [(own_splits(SETS[name]["collection"]), SETS[name]["split"]) for name in (one, other)]
    if any(found is None for found, _ in known):
        return True
    return shares_a_query(*(found.texts.get(split, {}) for found, split in known))


def reading_priority(wildcards):
    """Readings that heads are selected on go first."""
    profiling = config["profiling"]
    first = (wildcards.adapter, wildcards.order) == ("none", profiling["order"])
    return FIRST if first and wildcards.set in profiling["sets"] else 0


def origin(source):
    """Files that a model or collection is made from; none if it comes over the network.

    A folder's own time stays when a file in it is overwritten, so its files are named. Without
    any the folder itself is, and Snakemake tells that it is missing. Of an object store too: it
    can be asked for a whole folder alone.
    """
    if source["kind"] != "local":
        return [f"resources/archives/{archive['file']}" for archive in pinned_files(source)]
    if STORED:
        return [source["path"]]
    folder = Path(place(source["path"]))
    files = (path for path in folder.rglob("*") if path.is_file())
    # What tools keep beside the weights (.git, .cache) makes no model.
    seen = (p for p in files if not any(n.startswith(".") for n in p.relative_to(folder).parts))
    return sorted(map(str, seen)) or [place(source["path"])]


# Files that a user's folder may hold. An object store is asked here: an input function may not.
OPTIONAL = {
    name: [
        path
        for path in (f"{place(entry['source']['path'])}/{file}" for file in OPTIONAL_FILES)
        if exists(path)
    ]
    for name, entry in COLLECTIONS.items()
    if entry["source"]["kind"] == "local"
}


def own_run(collection):
    """Whether a user's folder brings candidates of its own."""
    return any(Path(path).name == "candidates.run" for path in OPTIONAL.get(collection, []))


def collection_origin(wildcards):
    """Files that a collection is made from: the archive, or those of the user's folder."""
    source = COLLECTIONS[wildcards.collection]["source"]
    if source["kind"] != "local":
        return origin(source)
    folder = place(source["path"])
    return [f"{folder}/{name}" for name in COLLECTION_FILES] + OPTIONAL[wildcards.collection]


def first_stage_source(wildcards):
    """The imported run of a split, or the BM25 index; none where the collection has candidates."""
    name, split = wildcards.collection, wildcards.split
    collection = COLLECTIONS[name]
    if split in collection["runs"]:
        return {"run": place(collection["runs"][split])}
    if collection["first_stage"] == "own" or (
        collection["first_stage"] == "auto" and own_run(name)
    ):
        return {}
    card, *others = index_files(name)
    return {"index": card, "postings": others}


def first_stage_run(wildcards):
    """The first stage's run that a set of queries is sampled from."""
    chosen = SETS[wildcards.set]
    return f"{RESULTS}/retrieval/{chosen['collection']}/{chosen['split']}.run"


def earlier_sets(wildcards):
    """Queries that this set may not hold: those of the roles before its own."""
    earlier = sets_of(*roles_before(ROLE[wildcards.set]))
    return [
        f"{RESULTS}/sets/{name}/queries.jsonl" for name in earlier if may_share(name, wildcards.set)
    ]


def folded_heads(name, model, adapter):
    """The selected heads that a method folds; none for a method of all heads."""
    method = METHODS[name]
    if method["heads"] == "all":
        return []
    profile = f"{model}/aligned/{adapter}" if method["reselect"] else model
    return [f"{RESULTS}/profiles/{profile}/heads/{method['heads']}.json"]


def ranking_heads(wildcards):
    """The selected heads of a run."""
    return folded_heads(wildcards.method, wildcards.model, wildcards.adapter)


def used_models():
    """Models and encoders that the experiment loads."""
    encoders = [METHODS[split_method(method)[0]].get("encoder") for method in EXPERIMENT["methods"]]
    decoders = EXPERIMENT["models"] if any(cell[1] != "-" for cell in CELLS) else []
    return [*decoders, *dict.fromkeys(name for name in encoders if name)]


def used_collections():
    """Collections of the experiment's sets."""
    return list(dict.fromkeys(SETS[name]["collection"] for name in sets_of(*ROLES)))


def fold_of(name):
    """How a method folds its heads: the arguments of headrank.methods.Fold."""
    return {key: METHODS[name][key] for key in ("calibrate", "outliers", "aggregation")}


CELLS = list(cells())


def own_in_use():
    """What the config names of the user's own and a job may ask for: used, or made earlier.

    Snakemake takes a result whose source is gone for finished.
    """
    made = {name for name in WEIGHTS if Path(f"resources/models/{name}/headrank.json").exists()}
    kept = {
        name
        for name in COLLECTIONS
        if Path(f"resources/collections/{name}/collection.json").exists()
    }
    return originals(config, {*used_models(), *made}, {*used_collections(), *kept})


def check_own_files():
    """Refuse, before any job, what the user's own files cannot give; tell what they changed."""
    if STORED:
        paths = [
            (one, f"{one.path}/{name}" if name else one.path)
            for one in own_in_use()
            for name in (one.needed or ("",))
            # A folder of weights is asked for as a whole, and no list tells what it holds.
            if one.needed or one.file
        ]
        if missing := [
            f"{one.key} is {one.path!r}, and there is no {path}; copy it to the store"
            for one, path in paths
            if not exists(path)
        ]:
            raise HeadRankError("\n".join(missing))
        return
    check_originals(own_in_use())
    found = list(size_problems(config, sets_of(*ROLES), own_splits))
    if refused := [message for wrong, message in found if wrong]:
        raise HeadRankError("\n".join(refused))
    for message in (*(m for _, m in found), *other_first_stages(config, own_run)):
        logger.warning(message)
    if change := replaced_originals(f"{RESULTS}/manifest.json", noted(own_in_use(), HASHES)):
        logger.warning(change)
    HASHES.save()


try:
    if workflow.is_main_process:
        check_own_files()
except HeadRankError as error:
    raise WorkflowError(str(error)) from None

# What results are made from of the user's own, for the manifest.
OWN = own_files(*(one.key for one in originals(config, used_models(), used_collections())))


def adapter_files(wildcards):
    """Files of the adapter that a reading puts into the model."""
    if wildcards.adapter == "none":
        return []
    folder = f"{RESULTS}/adapters/{wildcards.model}/{wildcards.adapter}"
    return [f"{folder}/{name}" for name in ADAPTER_FILES]


def reader_cards(cell, method):
    """What tells which processes ranked the shards of a method that runs its own model."""
    folder = f"{RESULTS}/parts/{cell}/{method}"
    return [f"{folder}/{shard}.reader.json" for shard in range(SHARDS[cell.split("/")[0]])]


def made_from(cell):
    """What a cell's run was made from, or which processes ranked with a model of their own.

    Readings, heads and adapter, records of answers, or cards of readers.
    """
    name, model, adapter, order, method = cell
    method = split_method(method)[0]
    if METHODS[method]["kind"] == "generative":
        return generations(name, model, order, method)
    if METHODS[method]["kind"] == "dense":
        return [f"{RESULTS}/runs/{name}/{method}.reader.json"]
    if METHODS[method]["kind"] == "cross-encoder":
        return reader_cards(name, method)
    if METHODS[method]["kind"] != "attention":
        return []
    own = SimpleNamespace(method=method, model=model, adapter=adapter)
    if METHODS[method]["truncated"]:
        read = reader_cards(f"{name}/{model}/{adapter}/{order}", method)
    else:
        read = readings([name], model, adapter, order)
    return [*read, *ranking_heads(own), *adapter_files(own)]


def recipe_of(wildcards):
    """Alignment recipe of a wildcard `recipe`, or of an adapter `RECIPE-SEED`."""
    name = getattr(wildcards, "recipe", None) or wildcards.adapter.rpartition("-")[0]
    return RECIPES[name]


def mined_pairs(wildcards):
    """The pairs that an adapter is trained on."""
    recipe = MINED_AS[wildcards.adapter.rpartition("-")[0]]
    return f"{RESULTS}/pairs/{wildcards.model}/{recipe}/pairs.csv"


def training_input(wildcards):
    """Sets, model and heads that a recipe trains with."""
    recipe = recipe_of(wildcards)
    files = [set_files(name) for name in recipe["training"]]
    return {
        "queries": [entry["queries"] for entry in files],
        "documents": [entry["documents"] for entry in files],
        "candidates": [entry["candidates"] for entry in files],
        "qrels": [entry["qrels"] for entry in files],
        # It says that roles are apart, not what is trained on: more queries elsewhere train nothing.
        "roles": ancient(f"{RESULTS}/sets/roles.json"),
        "model": model_part(wildcards.model),
        "heads": f"{RESULTS}/profiles/{wildcards.model}/heads/{recipe['selection']}.json",
    }
