"""The paper's recipes from a local folder in the hub's layout, at reduced size, through every verb."""

import io
import json

import pytest
import torch
from PIL import Image

from cli.command_line import run
from hub_folders import LAYOUTS, encoded, write_hub_folder
from small_geometry import FEW
from spurion.data import DATASETS, load_split, open_images
from spurion.data.hub import HUB_SETS
from spurion.studies import RECIPES

SHAPES = {"mnist": (1, 28, 28), "fashion-mnist": (1, 28, 28), "cifar10": (3, 32, 32)}
SHAPES["lsun-church"] = (3, 64, 64)
SMALL = (
    "data.resize=8",
    "train_sizes=[2, all]",
    "denoiser={kind: unet, channels: 8, multipliers: [1, 2], blocks: 1, groups: 4, attention: []}",
    "training.iterations=2",
    "training.batch_size=4",
    "sampler.steps=3",
    "sample_size=24",
    "gallery=2",
    "thresholds=fixed:0.5,0.5",
    *FEW,
    "geometry.points=6",
    "geometry.basins={draws: 1, levels: 2, steps: 2}",
    "flow.samples=6",
    "flow.images=4",
)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("hub")
    return {name: write_hub_folder(root / name, name) for name in LAYOUTS}


def settings(name, folder):
    """What points a recipe at a folder, and makes it small."""
    more = ["weights=random:0"] if name in ("cifar10", "lsun-church") else []
    return [f"--set={one}" for one in (f"data.source={folder}", *SMALL, *more)]


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_folder_is_read_as_the_hub_is(name, folders):
    split = load_split(str(folders[name]), resize=RECIPES[name]()["data"]["resize"])
    assert split.train.shape == split.holdout.shape == SHAPES[name] == DATASETS[name].size[2]
    classes = len(LAYOUTS[name][1])
    assert (len(split.train), len(split.holdout)) == (10 * classes, 7 * classes)
    assert (split.train.name, split.holdout.name) == (name, f"{name} (held out)")
    assert RECIPES[name]()["data"]["source"] == name
    assert RECIPES[name]()["data"]["resize"] == HUB_SETS[name].size


def blocks(image, box):
    """A part of an image as means of 8 x 8 blocks, with shape (3, 8, 8)."""
    small = image.resize((8, 8), Image.Resampling.BOX, box=box)
    return torch.frombuffer(bytearray(small.tobytes()), dtype=torch.uint8).reshape(8, 8, 3).permute(2, 0, 1)


def test_images_of_many_sizes_become_their_central_squares_in_order(folders):
    # Block means hang on where the square is cut, hardly on how it is resampled: that of the center is less
    # than half as far away as the squares at both ends of the longer side.
    labels = [label for label in range(16) for _ in range(10)]
    found = load_split(str(folders["lsun-church"]), resize=64).train.to_uint8().double()
    seen = 0
    for row, file in enumerate(encoded("lsun-church", labels, seed=0)):
        image = Image.open(io.BytesIO(file)).convert("RGB")
        (width, height), side = image.size, min(image.size)
        if max(image.size) < 1.3 * side:
            continue
        ours = torch.nn.functional.avg_pool2d(found[row], 8)
        away = []
        for share in (0.5, 0.0, 1.0):
            left, top = share * (width - side), share * (height - side)
            part = blocks(image, (left, top, left + side, top + side))
            away.append(float((part - ours).abs().mean()))
        assert 2 * away[0] < min(away[1:]), row
        seen += 1
    assert seen > 10


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_recipe_runs_end_to_end(name, folders, tmp_path, words_only):
    found = run("study", name, "--out", tmp_path / "run", "--workers=1", *settings(name, folders[name]))
    assert found.exit_code == 0, found.output
    stored = json.loads((tmp_path / "run" / "study.json").read_text())
    classes = len(LAYOUTS[name][1])
    assert (stored["train"]["name"], stored["train"]["count"]) == (name, 10 * classes)
    assert (stored["holdout"]["name"], stored["holdout"]["count"]) == (f"{name} (held out)", 7 * classes)
    assert stored["train"]["shape"] == [SHAPES[name][0], 8, 8]
    distance = "l2" if SHAPES[name][0] == 1 else "lpips-alex (random weights, seed 0)"
    assert [point["train_size"] for point in stored["points"]] == [2, 10 * classes]
    for point in stored["points"]:
        audit = point["audit"]
        assert audit["distance"]["name"] == distance
        assert audit["thresholds"]["memorized"] == 0.5
        assert audit["fractions"] is not None
        assert audit["flow"]["images"] > 0
        measured = {measure["name"] for measure in audit["geometry"]["measures"]}
        assert {"critical-noise", "soft-directions", "relative-energy"} <= measured
        assert audit["geometry"]["failed"] == []
    assert (tmp_path / "run" / "report.html").is_file()


def test_every_verb_takes_the_folder(folders, tmp_path):
    church, samples = folders["lsun-church"], f"{folders['lsun-church']}:test"
    options = ("--resize=8", "--distance=lpips-alex", "--weights=random:0")
    sets = ("--train", church, "--samples", samples)
    for verb in ("audit", "classify"):
        found = run(verb, *sets, "--holdout", samples, *options, "--json")
        assert found.exit_code == 0, found.output
        assert json.loads(found.stdout)["inputs"]["train"]["count"] == 160
    found = run("neighbors", "--queries", samples, "--reference", church, *options, "--json")
    assert found.exit_code == 0, found.output
    recipe = [one for one in settings("lsun-church", church) if not one.startswith("--set=train_sizes")]
    recipe = [one for one in recipe if not one.startswith("--set=data.source")]
    found = run("train", church, "--recipe", "lsun-church", "--size=4", "--out", tmp_path / "four", *recipe)
    assert found.exit_code == 0, found.output
    assert open_images(tmp_path / "four" / "train.npz").shape == (3, 8, 8)


def test_what_a_folder_of_two_splits_holds_out(tmp_path, folders):
    import datasets

    digits = folders["mnist"]
    assert load_split(f"{digits}:train").holdout is None
    assert load_split(f"{digits}:test").holdout is None
    assert len(load_split(digits, holdout=0.25).holdout) == 25  # of those to train on
    splits = datasets.load_from_disk(str(digits))
    parts = datasets.DatasetDict({"train": splits["train"], "validation": splits["test"]})
    parts.save_to_disk(str(tmp_path / "two"))
    assert load_split(tmp_path / "two").holdout.sha256 == load_split(digits).holdout.sha256
    datasets.DatasetDict({"test": splits["test"]}).save_to_disk(str(tmp_path / "one"))
    assert load_split(tmp_path / "one").holdout is None
    (tmp_path / "two" / "dataset_dict.json").write_text('{"splits": 3}')
    with pytest.raises(ValueError, match="two cannot be read as a saved data set"):
        load_split(tmp_path / "two")


def test_splits_of_two_shapes_are_refused(tmp_path, folders):
    import datasets

    train = datasets.load_from_disk(str(folders["mnist"]))["train"]
    test = datasets.load_from_disk(str(folders["cifar10"]))["test"].rename_column("img", "image")
    datasets.DatasetDict({"train": train, "test": test}).save_to_disk(str(tmp_path / "set"))
    with pytest.raises(ValueError, match=r"splits of set differ in shape, \(1, 28, 28\) .* `:train` after"):
        load_split(tmp_path / "set")


def test_images_of_many_sizes_without_a_size_say_what_to_do(folders, tmp_path):
    options = [*settings("cifar10", folders["lsun-church"]), "--set=data.resize=null"]
    found = run("study", "cifar10", "--out", tmp_path / "run", *options)
    assert found.exit_code == 2
    assert "images differ in size" in found.stderr
