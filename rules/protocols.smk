# What generative methods ask for, and where their records lie.
LIMITS = {
    key: config["prompt"][key]
    for key in ("document_tokens", "overlong", "chat")
    if key in config["prompt"]
}


def protocol_of(method):
    """Settings of a generative method: the arguments of GenerativeMethod."""
    entry = METHODS[method]
    return {key: value for key, value in entry.items() if key not in ("kind", "orders")}


def generations(name, model, order, method):
    """Records of a method on a set; where each passage is asked about alone, order has no say."""
    if METHODS[method]["protocol"] != "listwise":
        order = "first-stage"
    folder = f"{RESULTS}/generation/{name}/{model}/{order}/{method}"
    return [f"{folder}/{shard}.jsonl" for shard in range(SHARDS[name])]


def generated_cells(model):
    """Set, order, method and file of every record that the experiment needs from a model."""
    found = {}
    for name, own, _, order, method in CELLS:
        if own == model and METHODS.get(method, {}).get("kind") == "generative":
            for path in generations(name, model, order, method):
                order = "-" if METHODS[method]["protocol"] != "listwise" else order
                found[path] = (name, order, method)
    return [(*cell, path) for path, cell in found.items()]


def generating_models():
    """Models of the experiment that a generative method asks."""
    return [model for model in EXPERIMENT["models"] if generated_cells(model)]
