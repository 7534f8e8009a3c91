"""Sets and collections of a config: roles that share no query, sources and their splits."""

from copy import deepcopy

from headrank.workflow.config.checks import configure, cross_problems, form_problems
from headrank.workflow.config.roles import ROLES, roles, roles_before
from tests.helpers.base_config import BASE, changed, message


def test_slices_of_one_split_may_not_meet_between_roles():
    entry = {"collection": "lee", "role": "profiling"}
    for extra, good in (({"skip": 12}, True), ({"skip": 11}, False), ({"skip": 0}, False)):
        config = deepcopy(BASE)
        config["sets"]["more"] = {**entry, **extra}
        form_problems(config)
        assert (not list(cross_problems(config))) is good
    # Pools are permuted apart from each other, so their slices cannot be compared.
    config["sets"]["more"] = {**entry, "skip": 12, "pool": "rerankable"}
    form_problems(config)
    assert list(cross_problems(config))


def test_one_set_may_select_heads_and_train():
    config = deepcopy(BASE)
    del config["sets"]["insuranceqa-heads"]
    config["sets"]["insuranceqa-train"]["role"] = "profiling+alignment"
    config["profiling"]["sets"] = ["insuranceqa-train", "semanlink-heads"]
    configure(config)
    config["sets"]["insuranceqa-train"]["role"] = "alignment"
    assert any("profiling.sets.0" in text for text in cross_problems(config))


def test_validation_is_a_role_of_its_own_and_the_last_to_keep_a_query():
    config = deepcopy(BASE)
    configure(config)
    found = roles(config)
    assert found["insuranceqa-valid"] == "validation"
    assert found["insuranceqa-train"] == "alignment"
    assert roles_before("validation") == ROLES[:-1]
    assert roles_before("evaluation") == ()


def test_splits_of_an_ir_datasets_source():
    config = deepcopy(BASE)
    parts = {name: {"id": f"beir/lee/{name}", "expect": {"queries": 9}} for name in ("a", "b")}
    source = {"kind": "ir_datasets", "splits": parts, "expect": {"documents": 50}}
    published = {"a": {"value": 0.5, "source": "a paper"}}
    config["collections"]["lee"] = {"source": source, "published": published}
    config["sets"]["lee"]["split"] = "b"
    configure(config)
    for change, expected in [
        ({"id": "beir/lee"}, "collections.lee.source has both id and splits"),
        ({"split": "a"}, "collections.lee.source.split stands beside splits"),
        ({"expect": {"queries": 3}}, "source.expect.queries stands beside splits"),
        ({"splits": {"c": {"id": "beir/lee/c"}}}, "sets.lee.split is 'b'; allowed: c"),
        ({"splits": {"b": parts["b"]}}, "collections.lee.published.a is 'a'; allowed: b"),
    ]:
        broken = deepcopy(config)
        broken["collections"]["lee"]["source"] |= change
        found = form_problems(broken) or cross_problems(broken)
        assert expected in "\n".join(found)
    broken["collections"]["lee"]["source"] = {"kind": "ir_datasets"}
    assert "has neither id nor splits" in "\n".join(form_problems(broken))


def test_two_sets_of_one_role_may_share_queries():
    config = deepcopy(BASE)
    config["sets"]["more"] = {"collection": "lee", "role": "evaluation", "pool": "judged"}
    configure(config)


def test_a_collection_of_a_repository():
    hub = {"kind": "huggingface", "repository": "xlangai/BRIGHT", "builder": "bright"}
    hub |= {"task": "pony", "revision": "a" * 40}
    git = {"kind": "github", "repository": "a/b", "revision": "b" * 40, "builder": "noveleval"}
    git["files"] = {"NovelEval/corpus.tsv": "c" * 64}
    for source in (hub, git):
        configure(changed("collections/lee/source", source))
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
