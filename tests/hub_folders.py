"""Data sets as `save_to_disk` leaves them, in the layout of the hub: columns, features, sizes, made here."""

import io

import datasets
import numpy as np
from PIL import Image

CIFAR = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
FASHION = ("T - shirt / top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
           "Ankle boot")  # fmt: skip
DIGITS = tuple("0123456789")
LAYOUTS = {  # column, classes, height and width or a range of them, channels, form
    "mnist": ("image", DIGITS, (28, 28), 1, "PNG"),
    "fashion-mnist": ("image", FASHION, (28, 28), 1, "PNG"),
    "cifar10": ("img", CIFAR, (32, 32), 3, "PNG"),
    "lsun-church": ("image", (*DIGITS, *"abcdef"), (256, 384), 3, "JPEG"),
}


def write_hub_folder(folder, name, train=10, test=7):
    """Write `train` and `test` images of each class of a set; those of LSUN are of many sizes."""
    column, classes, *_ = LAYOUTS[name]
    label = datasets.ClassLabel(names=list(classes))
    features = datasets.Features({column: datasets.Image(), "label": label})
    splits = {}
    for split, count, seed in (("train", train, 0), ("test", test, 1)):
        labels = [number for number in range(len(classes)) for _ in range(count)]
        cells = [{"bytes": data, "path": None} for data in encoded(name, labels, seed)]
        splits[split] = datasets.Dataset.from_dict({column: cells, "label": labels}, features=features)
    datasets.DatasetDict(splits).save_to_disk(str(folder))
    return folder


def encoded(name, labels, seed):
    """Images with one pattern for each class and some noise, as files."""
    *_, (low, high), channels, form = LAYOUTS[name]
    random = np.random.default_rng((seed, len(name)))
    for label in labels:
        height, width = (low, low) if low == high else random.integers(low, high, 2)
        y, x = np.mgrid[:height, :width] / min(height, width)
        waves = [np.sin(2 * np.pi * (1 + label % 4) * (x * (c + 1) + y * label)) for c in range(channels)]
        noise = random.normal(0, 0.3, (8, 8, channels)).repeat(-(-height // 8), 0).repeat(-(-width // 8), 1)
        levels = 127.5 + 90 * (np.stack(waves, axis=2) + noise[:height, :width])
        image = Image.fromarray(levels.clip(0, 255).astype(np.uint8).squeeze())
        file = io.BytesIO()
        image.save(file, form)
        yield file.getvalue()
