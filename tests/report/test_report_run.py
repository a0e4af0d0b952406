import json

import numpy as np
import pytest

from report.synthetic import Recipe, write_run
from spurion.report.run import read_run

SMALL = Recipe(sizes=(2, 16), samples=50, gallery=4)


@pytest.fixture
def folder(tmp_path):
    write_run(tmp_path, SMALL)
    return tmp_path


def test_reads_what_was_written(folder):
    run = read_run(folder)
    assert [point.train_size for point in run.done] == [2, 16]
    assert run.failed == ()
    samples = run.done[0].samples
    lines = (folder / "points/000002/samples.csv").read_text().splitlines()
    first, last = lines[1].split(","), lines[-1].split(",")
    assert len(samples) == len(lines) - 1 == 50
    assert samples.distance_train[[0, -1]].tolist() == [float(first[2]), float(last[2])]
    assert samples.nearest_train[-1] == int(last[3])
    assert samples.distance_sample[-1] == float(last[5])
    assert samples.nearest_sample[-1] == int(last[6])
    assert samples.label[0] == 0
    assert run.done[0].loss.step[:2].tolist() == [100, 200]


def test_orders_points_by_training_size(folder):
    study = json.loads((folder / "study.json").read_text())
    study["points"].reverse()
    (folder / "study.json").write_text(json.dumps(study))
    assert [point.train_size for point in read_run(folder).done] == [2, 16]


def test_failed_point_needs_no_files(tmp_path):
    write_run(tmp_path, Recipe(sizes=(2, 16), samples=50, failed=(16,)))
    (tmp_path / "points/000016/training.jsonl").unlink()
    run = read_run(tmp_path)
    assert [(point.train_size, loss) for point, loss in run.failed] == [(16, None)]
    assert [point.train_size for point in run.done] == [2]


def test_failed_point_shows_the_loss_it_logged(tmp_path):
    write_run(tmp_path, Recipe(sizes=(2, 16), samples=50, failed=(16,)))
    assert len(read_run(tmp_path).failed[0][1].step) == 12


def test_model_without_training_has_no_loss(folder):
    study = json.loads((folder / "study.json").read_text())
    study["points"][0]["training"] = None
    (folder / "study.json").write_text(json.dumps(study))
    (folder / "points/000002/training.jsonl").unlink()
    assert read_run(folder).done[0].loss is None


def test_a_line_without_a_loss_is_left_out(folder):
    rows = [{"step": 1, "loss": 0.5}, {"step": 2, "loss": None}]
    (folder / "points/000002/training.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    curve = read_run(folder).done[0].loss
    assert (curve.step.tolist(), curve.loss.tolist()) == ([1], [0.5])


def test_samples_without_class_or_other_sample(folder):
    path = folder / "points/000002/samples.csv"
    header, *rows = path.read_text().splitlines()
    path.write_text("\n".join([header, "0,,0.5,1,,,,,,", *rows[1:]]) + "\n")
    samples = read_run(folder).done[0].samples
    assert samples.label[0] == -1
    assert np.isnan(samples.distance_sample[0])
    assert samples.nearest_sample[0] == -1
    assert np.isnan(samples.p_value[0])
    assert np.isnan(samples.met_again[0])
    assert samples.listed.tolist()[:2] == [-1, 1]


def test_a_file_of_a_former_version_is_read(folder):
    path = folder / "points/000002/samples.csv"
    path.write_text("".join(",".join(row.split(",")[:7]) + "\n" for row in path.read_text().splitlines()))
    samples = read_run(folder).done[0].samples
    assert np.isnan(samples.p_value).all()
    assert np.isnan(samples.met_again).all()
    assert (samples.listed == -1).all()
    assert (samples.label == 0).any()


@pytest.mark.parametrize("name", ["samples.csv", "gallery.npz", "training.jsonl"])
def test_missing_file_is_named(folder, name):
    (folder / "points/000016" / name).unlink()
    with pytest.raises(ValueError, match=rf"There is no file .*000016/{name}\.$"):
        read_run(folder)


def test_missing_study_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"no file .*study\.json; `folder` must be the folder of a run"):
        read_run(tmp_path)


def test_study_must_be_an_object(folder):
    (folder / "study.json").write_text("[]")
    with pytest.raises(ValueError, match=r"study\.json must hold a JSON object, got list"):
        read_run(folder)


def test_study_of_another_form_is_named(folder):
    study = json.loads((folder / "study.json").read_text())
    (folder / "study.json").write_text(json.dumps(study | {"surprise": 1}))
    with pytest.raises(ValueError, match=r"study\.json: there is no field `surprise`"):
        read_run(folder)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("index,label", "label,index", "the columns must be index,label"),
        ("\n0,memorized", "\n0,strange", "row 1: `label` must be a class or empty, got 'strange'"),
        ("\n0,memorized,", "\n0,memorized,-", "negative or infinite"),
        ("\n0,memorized,", "\n0,memorized,inf", "damaged"),
        ("\n0,memorized,", "\n0,memorized", "damaged"),
        ("\n0,", "\n9,", "row 1: `index` must be 0, got '9'"),
    ],
)
def test_damaged_samples_are_named(folder, old, new, reason):
    path = folder / "points/000016/samples.csv"
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(ValueError, match=r"000016/samples\.csv is damaged \(.*") as caught:
        read_run(folder)
    assert reason in str(caught.value)


def test_empty_samples_are_named(folder):
    (folder / "points/000016/samples.csv").write_text("")
    with pytest.raises(ValueError, match=r"samples\.csv is damaged"):
        read_run(folder)


def _arrays(path):
    with np.load(path) as file:
        return dict(file)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"index": None}, "there is no array `index`"),
        ({"sample": np.zeros((8, 2, 8, 8), np.uint8)}, "1 or 3, H, W"),
        ({"sample": np.zeros((8, 8), np.uint8)}, "1 or 3, H, W"),
        ({"train": np.zeros((8, 1, 8, 8))}, "uint8 images of one shape"),
        ({"other": np.zeros((7, 1, 8, 8), np.uint8)}, "uint8 images of one shape"),
        ({"index": np.zeros(3, int)}, "one entry for each image"),
        ({"label": np.zeros(3, int)}, "one entry for each image"),
        ({"index": np.full(8, 50)}, "outside the 50 samples"),
        ({"index": np.full(8, -1)}, "outside the 50 samples"),
        ({"label": np.full(8, 3)}, "a label is not a class"),
        ({"label": np.full(8, -2)}, "a label is not a class"),
    ],
)
def test_damaged_gallery_is_named(folder, changes, reason):
    path = folder / "points/000002/gallery.npz"
    arrays = {name: array[[0] * 8] for name, array in _arrays(path).items()} | changes
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    with pytest.raises(ValueError, match=r"000002/gallery\.npz is damaged") as caught:
        read_run(folder)
    assert reason in str(caught.value)


def test_truncated_gallery_is_named(folder):
    path = folder / "points/000002/gallery.npz"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"gallery\.npz is damaged"):
        read_run(folder)


@pytest.mark.parametrize("text", ["{", '{"step": 1}\n', '{"step": "x", "loss": 1}\n', "3\n"])
def test_damaged_loss_log_is_named(folder, text):
    (folder / "points/000002/training.jsonl").write_text(text)
    with pytest.raises(ValueError, match=r"000002/training\.jsonl is damaged"):
        read_run(folder)
