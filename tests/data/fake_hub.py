"""A Hugging Face cache as the library leaves it after a download, written without a network."""

from pathlib import Path

import datasets
from datasets.arrow_writer import ArrowWriter


def write_cache(cache, identifier, splits, column="image"):
    """Write lists of encoded images, by split, as the cached data set `identifier`."""
    owner, name = identifier.split("/")
    folder = Path(cache, f"{owner}___{name}", "default", "0.0.0", "0123456789abcdef")
    folder.mkdir(parents=True)
    features = datasets.Features({column: datasets.Image(), "label": datasets.Value("int64")})
    infos = datasets.splits.SplitDict(dataset_name=name)
    for split, images in splits.items():
        with ArrowWriter(features=features, path=str(folder / f"{name}-{split}.arrow")) as writer:
            for label, data in enumerate(images):
                writer.write({column: {"bytes": data, "path": None}, "label": label})
            count, size = writer.finalize()
        infos.add(datasets.SplitInfo(name=split, num_bytes=size, num_examples=count, dataset_name=name))
    info = datasets.DatasetInfo(features=features, splits=infos, config_name="default", dataset_name=name)
    info.write_to_directory(str(folder))
