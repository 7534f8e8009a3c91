# Whether files lie in an object store. It holds what rules declare and nothing else, so a folder of
# which no list is known beforehand is a rule's output there as a whole. On a disk some files of it
# are, the card first: made again with the same hashes it repeats no job.
STORAGE = workflow.storage_settings.default_storage_provider
STORED = STORAGE is not None


def made(folder, **files):
    """What a rule declares of a folder that it makes.

    Never both: Snakemake removes its local copy of a file that no job asks for, and the folder that
    another job asks for would lack it.
    """
    whole = {"folder": directory(folder)}
    return whole if STORED else {key: f"{folder}/{file}" for key, file in files.items()}


def part_of(folder, *files):
    """What a rule asks for of a folder that `made` declares."""
    return [folder] if STORED else [f"{folder}/{file}" for file in files]


def model_part(model):
    """What a job asks for of a model or encoder."""
    return part_of(f"resources/models/{model}", "headrank.json")


def collection_part(collection, *files):
    """What a job asks for of a collection."""
    return part_of(f"resources/collections/{collection}", *files)


def remembering_no_absence(exists):
    """Let a storage object look again whether it is a folder, as long as it was none.

    The S3 plugin (0.3.6) keeps the answer from before the jobs: a folder that a pod made since would
    be missing forever.
    """

    def look(storage_object):
        storage_object._is_dir = storage_object._is_dir or None
        return exists(storage_object)

    return look


if STORAGE == "s3":
    from snakemake_storage_plugin_s3 import StorageObject

    StorageObject.exists = remembering_no_absence(StorageObject.exists)
