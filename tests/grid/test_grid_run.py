"""A grid is its cells, each an ordinary study; what cells share is computed once."""

import json
from importlib.resources import files

import jsonschema
import pytest
import torch

import spurion
from grid.grid_study import SMALL
from spurion.diffusion.folder import folder_hash
from spurion.diffusion.sampleset import sample_to_file
from spurion.grid.results import GridResult, grid_schema
from spurion.report import write_report
from spurion.studies.point import load_samples

OVER = {"training.iterations": (6, 12), "sample_size": (20, 12, 30)}


def contents(folder):
    """Every file of a run folder by name, but for times of stages, seals and states of trainings."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not path.is_file() or path.name in {"seconds.json", ".lock", "report.html"}:
            continue
        if ".seals" in name or "/state/" in name:
            continue
        found[name] = without_times(path) if path.suffix == ".json" else path.read_bytes()
    return found


def without_times(path):
    def clean(value):
        if isinstance(value, dict):
            return {key: clean(inner) for key, inner in value.items() if key != "seconds"}
        return [clean(inner) for inner in value] if isinstance(value, list) else value

    return clean(json.loads(path.read_text()))


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("grid")
    told = {}
    result = spurion.study(
        "digits",
        out=folder,
        overrides=SMALL,
        over=OVER,
        workers=1,
        report=lambda name, stage, done, total: told.setdefault((name, stage), done),
    )
    return folder, result, told


def test_the_result_is_stored_last_and_holds_its_schema(small):
    folder, result, _ = small
    values = json.loads((folder / "study.json").read_text())
    assert values == result.to_json()
    assert GridResult.model_validate(values) == result
    schema = grid_schema()
    jsonschema.validate(values, schema)
    packaged = json.loads((files("spurion.grid") / "grid.schema.json").read_text())
    assert packaged == schema
    assert "seconds" not in json.dumps(values)


def test_a_cell_alone_gives_the_same_files(small, tmp_path):
    folder, result, _ = small
    for cell in result.cells:
        own = tmp_path / cell.folder
        study = spurion.study(folder / cell.folder / "config.yaml", out=own, workers=1)
        assert contents(own) == contents(folder / cell.folder)
        assert [point.fractions for point in cell.points] == [p.audit.fractions for p in study.points]
        assert cell.capacities == study.capacities
        assert cell.steps == cell.values["training.iterations"]


def test_nothing_is_trained_or_drawn_twice(small):
    _, _, told = small
    first = "training.iterations=6, sample_size=12, seed=0, K = 2"
    assert {(first, "train"), (first, "sample")} <= set(told)
    trained = {name: done for (name, stage), done in told.items() if stage == "train"}
    assert all("sample_size=12" in name for name in trained)
    assert sorted(trained.values()) == [1, 1, 7, 7]  # the first step of two training sizes, and the seventh


def test_cells_with_one_training_have_the_same_models(small):
    folder, result, _ = small
    for k in (2, 6):
        hashes = {
            (cell.steps, folder_hash(folder / cell.folder / "points" / f"{k:06d}" / "model"))
            for cell in result.cells
        }
        assert len(hashes) == 2


def test_smaller_sets_are_the_beginning_of_larger_ones(small):
    folder, result, _ = small
    for steps in (6, 12):
        sets = {
            cell.values["sample_size"]: load_samples(folder / cell.folder / "points/000002/samples.npz")
            for cell in result.cells
            if cell.steps == steps
        }
        assert [len(sets[size]) for size in (12, 20, 30)] == [12, 20, 30]
        assert torch.equal(sets[12][:8], sets[30][:8])  # whole batches to the last bit
        assert torch.equal(sets[20][:16], sets[30][:16])
        assert torch.allclose(sets[12], sets[30][:12], atol=1e-5)


def test_a_finished_grid_computes_nothing(small, monkeypatch):
    folder, result, _ = small
    before = contents(folder)
    monkeypatch.setattr("spurion.grid.study.study_images", None)
    assert spurion.study("digits", out=folder, overrides=SMALL, over=OVER) == result
    assert spurion.study(folder / "config.yaml", out=folder) == result
    assert contents(folder) == before


def test_a_cell_is_opened_and_reported_as_a_study(small, words_only):
    folder, result, _ = small
    own = folder / result.cells[0].folder
    assert spurion.study(own / "config.yaml", out=own, workers=1).capacities == result.cells[0].capacities
    assert "spurious" in write_report(own).read_text()
    (own / "report.html").unlink()


def test_more_values_and_seeds_add_cells(tmp_path, monkeypatch):
    from spurion.grid import study as module

    ran = []
    run = module.study_images
    monkeypatch.setattr(
        module, "study_images", lambda config, **rest: (ran.append(config), run(config, **rest))[1]
    )
    fewer, more = {"epsilon": (0.1, 0.3)}, {"epsilon": (0.1, 0.2, 0.3)}
    spurion.study("digits", out=tmp_path / "grown", overrides=SMALL, over=fewer, workers=1)
    assert [config.epsilon for config in ran] == [0.1, 0.3]
    ran.clear()
    result = spurion.study(
        "digits", out=tmp_path / "grown", overrides=SMALL, over=more, workers=1, seeds=(0, 1)
    )
    assert [(config.epsilon, config.seed) for config in ran] == [(0.2, 0), (0.1, 1), (0.2, 1), (0.3, 1)]
    at_once = spurion.study(
        "digits", out=tmp_path / "whole", overrides=SMALL, over=more, workers=1, seeds=(0, 1)
    )
    assert result == at_once
    assert contents(tmp_path / "grown") == contents(tmp_path / "whole")


def test_a_folder_that_holds_something_else(small, tmp_path):
    folder, _, _ = small
    with pytest.raises(ValueError, match="holds a study of another kind"):
        spurion.study("digits", out=folder, overrides=SMALL)
    with pytest.raises(ValueError, match="holds a grid over"):
        spurion.study("digits", out=folder, overrides=SMALL, seeds=(0, 1))
    (tmp_path / "config.yaml").write_text("name: digits\n")
    with pytest.raises(ValueError, match="holds a study of another kind"):
        spurion.study("digits", out=tmp_path, overrides=SMALL, over=OVER)
    assert {path.name for path in tmp_path.iterdir()} <= {"config.yaml", ".lock"}


def test_a_size_that_is_not_there_is_told_before_any_work(tmp_path):
    with pytest.raises(ValueError, match="`train_sizes` asks for 5000"):
        spurion.study(
            "digits", out=tmp_path / "none", overrides=("train_sizes=[5000]",), over={"epsilon": (0.1, 0.2)}
        )
    assert not (tmp_path / "none").exists()


def test_a_damaged_cell_is_made_again(small, tmp_path):
    import shutil

    folder, result, _ = small
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (copy / result.cells[0].folder / "points/000002/measurement.safetensors").write_bytes(b"x")
    (copy / result.cells[1].folder / "study.json").write_text("{}")
    assert spurion.study("digits", out=copy, overrides=SMALL, over=OVER, workers=1) == result
    assert contents(copy).keys() >= contents(folder).keys()


def test_a_cell_that_diverges_is_named_and_the_others_go_on(tmp_path):
    result = spurion.study(
        "digits",
        out=tmp_path,
        overrides=(*SMALL, "train_sizes=[2]", "training.clip_norm=null"),
        over={"training.learning_rate": (0.005, 1e30)},
        workers=1,
    )
    good, bad = result.cells
    assert good.points[0].fractions is not None
    assert bad.points[0].fractions is None
    assert "loss" in bad.points[0].message
    (warning,) = result.said("warning")
    assert warning.startswith("cells/seed=0,training.learning_rate=1e+30, K = 2 failed: The training loss")


def test_lent_samples_are_checked_like_others(small, tmp_path):
    from spurion.diffusion.folder import load_denoiser
    from spurion.diffusion.sampleset import lend_batches

    folder, result, _ = small
    point = folder / result.cells[0].folder / "points/000002"
    config = spurion.studies.recipes.named_config(folder / result.cells[0].folder / "config.yaml")
    denoiser = load_denoiser(point / "model")
    lend_batches(point / "samples.npz", tmp_path / "samples.npz", 17)
    assert [path.name for path in sorted((tmp_path / "samples.shards").iterdir())] == ["000000.safetensors"]
    with pytest.raises(ValueError, match="holds samples of another model, sampler, seed or count"):
        sample_to_file(denoiser, 17, config.sampler, seed=99, path=tmp_path / "samples.npz")
    lend_batches(point / "nothing.npz", tmp_path / "none.npz", 17)
    assert not (tmp_path / "none.shards").exists()
