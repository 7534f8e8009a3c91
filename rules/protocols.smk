# What generative methods ask for, and where their records lie.
LIMITS = {
    key: config["prompt"][key]
    for key in ("document_tokens", "overlong", "chat")
    if key in config["prompt"]
}


def protocol_of(method):
    """Settings of a generative method: the arguments of GenerativeMethod."""
    return {key: value for key, value in METHODS[method].items() if key != "kind"}


def generations(name, model, order, method):
    """Records of a method on a set; where each passage is asked about alone, order has no say."""
    if METHODS[method]["protocol"] != "listwise":
        order = "first-stage"
    return [f"results/generation/{name}/{model}/{order}/{method}/{shard}.jsonl" for shard in SHARDS]
