# What the targets of tables and figures make, and what the experiment lacks for one: told when it
# is asked for, so that a config with less still plans everything else.
NO_MODEL = "experiment.methods names none that reads or asks a model; add one of kind attention"
NO_RECIPE = "experiment.methods names none with an adapter; add one"
NO_PANELS = "report.panels is []; name the methods that are compared along the prompt"
NO_METHOD = "report.method is null; name the method whose heads are shown"
NO_SELECTED = (
    f"report.panels is {REPORT['panels']}; name a method of selected heads without an adapter"
)
NO_ABLATIONS = "ablations is {}; declare a method, a key and other values of it"
GENERATIVE = ", ".join(methods_of("generative")) or "that kind to methods, and then here"
LACKING = {
    "table_first_stage": "no collection of the experiment has published values; add some",
    "table_orders": f"orders is {config['orders']}; it needs shuffled and reversed, and a model",
    "table_latency": NO_MODEL,
    "table_formatting": (
        f"experiment.methods names no method of kind generative; add one of {GENERATIVE}"
    ),
    "table_heads": NO_METHOD,
    "table_middle": NO_PANELS,
    "table_homogenisation": NO_PANELS,
    "table_seeds": "no adapter of the experiment has several seeds; add to alignments.NAME.seeds",
    "table_pairs": NO_RECIPE,
    "table_ablations": NO_ABLATIONS,
    "table_significance": "evaluation.comparisons is []; declare pairs of methods",
    "figure_order": NO_MODEL,
    "figure_quality_latency": NO_MODEL,
    "figure_heads": NO_METHOD,
    "figure_homogenisation": NO_PANELS,
    "figure_ndcg_by_heads": NO_SELECTED,
    "figure_ndcg_by_depth": NO_SELECTED,
    "figure_middle": NO_PANELS,
    "figure_learning_curve": "report.learning_curve is []; name methods that differ in queries",
    "figure_training": NO_RECIPE,
    "figure_ablations": NO_ABLATIONS,
}
PRODUCTS = product_files()


def files_of(target):
    """Input function of a target: its files, or what the experiment lacks for them."""

    def files(wildcards):
        if not PRODUCTS[target]:
            raise WorkflowError(f"{target}: {LACKING[target]}")
        return PRODUCTS[target]

    return files
