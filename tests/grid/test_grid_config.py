"""What may vary over a grid, and one sentence about what may not."""

from pathlib import Path

import pytest
import yaml

import spurion
from spurion.circle.config import CircleConfig
from spurion.grid.cells import cells_of, grown
from spurion.grid.config import grid_config
from spurion.studies.over import parse_over, parse_seeds
from spurion.studies.recipes import named_config


def over(*texts, seeds=(), overrides=()):
    return grid_config("digits", overrides, None, parse_over(texts), seeds)


def test_every_cell_is_the_study_with_these_fields():
    config = over("denoiser.width=64,32", "sample_size=8x,4x", seeds=(1, 0))
    cells = cells_of(config, Path("runs"))
    assert len(cells) == 8
    assert cells[0].folder == Path("runs/cells/seed=0,denoiser.width=32,sample_size=4x")
    assert [cell.seed for cell in cells] == [0] * 4 + [1] * 4
    for cell in cells:
        fields = [f"{field}={value}" for field, value in cell.values.items()]
        assert cell.config == named_config(
            "digits", [*fields, f"seed={cell.seed}", "geometry=null", "flow=null"]
        )


def test_steps_are_those_of_one_training():
    cells = cells_of(over("training.iterations=4000,1000,2000"), Path("runs"))
    trainings = [cell.config.training for cell in cells]
    assert [training.iterations for training in trainings] == [4000] * 3
    assert [training.stop_after for training in trainings] == [1000, 2000, None]
    assert [training.steps for training in trainings] == [1000, 2000, 4000]


def test_geometry_and_flow_are_measured_if_they_are_named():
    assert over("epsilon=0.1,0.2").study.geometry is None
    named = over("epsilon=0.1,0.2", overrides=("geometry={}", "flow.steps=7")).study
    assert named.geometry == named_config("digits").geometry
    assert named.flow.steps == 7
    cells = cells_of(over("geometry.points=10,20"), Path())
    assert [cell.config.geometry.points for cell in cells] == [10, 20]


def test_the_seed_of_the_configuration_is_the_only_one_without_others():
    assert over("epsilon=0.1,0.2", overrides=("seed=7",)).seeds == (7,)
    assert over(seeds=(2, 0, 1)).seeds == (0, 1, 2)


def test_names_of_folders_can_be_told_apart():
    texts = "thresholds=['fixed:1,1', 'fixed:1/1', 'null:0.01']"
    with pytest.raises(ValueError, match=r"thresholds"):
        over(texts)
    cells = cells_of(over("thresholds=['fixed:1,1', 'null:0.01']"), Path())
    names = [cell.folder.name for cell in cells]
    assert all("/" not in name and ":" not in name for name in names)
    assert len(set(names)) == 2


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("denoiser.widht=1,2", "there is no field `denoiser.widht`."),
        ("denoiser.width=a,8", r"`denoiser.width`: input should be a valid integer, .* got 'a'."),
        ("denoiser.width=32,32", "`denoiser.width` is asked for '32' twice."),
        ("denoiser.width=32", "a grid must have 2 to 100 cells, .* got 1."),
        (
            f"denoiser.width={','.join(map(str, range(8, 109)))}",
            "a grid must have 2 to 100 cells, .* got 101.",
        ),
        (
            "data.source=digits,emoji",
            "`data.source` does not vary in a grid: the cells .* share their images.",
        ),
        ("data=a,b", "`data` does not vary in a grid"),
        ("name=a,b", "`name` does not vary in a grid: it is what the study is called."),
        ("seed=0,1", "`seed` does not vary in a grid: name seeds with `--seeds`."),
        ("train_sizes=[[2],[8]]", "`train_sizes` does not vary in a grid: every cell .* all training sizes."),
        ("training.stop_after=5,6", "`training.stop_after` does not vary in a grid: name the steps"),
        ("training.device=cpu,auto", "`training.device` does not vary in a grid: choose it for all cells"),
        ("training.iterations=10,true", "`training.iterations` must be whole numbers .* got 'true'."),
        ("training.iterations=0,10", "`training.iterations` must be whole numbers of at least 1, got '0'."),
        ("training.iterations=1.5,10", "`training.iterations` must be whole numbers .* got '1.5'."),
        ("denoiser.width", "`--over` takes field=value,value, .* got 'denoiser.width'."),
        ("=1,2", "`--over` takes field=value,value"),
        ("denoiser.width=[]", "must have at least one value, got 'denoiser.width=\\[\\]'."),
        ("training={iterations: 5},{iterations: 6}", "`training` does not vary as a whole; name one"),
        ("denoiser.width=[1,", "the values are not valid YAML"),
        ("sampler.steps=250,2000", "`sampler`|steps"),
        ("denoiser={kind: mlp},{kind: mlp, width: 128}", "are the same study"),
    ],
)
def test_bad_fields_are_one_sentence(text, sentence):
    with pytest.raises(ValueError, match=sentence) as error:
        over(text)
    assert "\n" not in str(error.value)


def test_a_change_without_effect_is_refused(tmp_path):
    file = tmp_path / "grid.yaml"
    file.write_text(yaml.safe_dump(over("denoiser.width=8,32").model_dump(mode="json")))
    for change in ("denoiser.width=16", "seed=7"):
        with pytest.raises(ValueError, match="varies in this grid; leave"):
            grid_config(file, [change])
    assert grid_config(file, ["epsilon=0.2"]).study.epsilon == 0.2


def test_fields_that_overlap_or_come_twice():
    with pytest.raises(ValueError, match=r"`denoiser.width` is part of `denoiser`, which varies too"):
        over("denoiser.width=8,16", "denoiser={kind: mlp}")
    with pytest.raises(ValueError, match="`--over` names the field `epsilon` twice"):
        over("epsilon=0.1,0.2", "epsilon=0.3")


def test_seeds():
    assert parse_seeds("0,1,2") == (0, 1, 2)
    assert parse_seeds(None) == ()
    for text in ("a", "0,1.5", "0,true"):
        with pytest.raises(ValueError, match="`--seeds` must be whole numbers"):
            parse_seeds(text)
    with pytest.raises(ValueError, match="`seeds` holds 1 twice"):
        over(seeds=(1, 1))
    with pytest.raises(ValueError, match="`seeds` must be at least 0, got -1"):
        over(seeds=(-1, 1))
    with pytest.raises(ValueError, match="`seed` and `seeds` name the same thing"):
        over(seeds=(0, 1), overrides=("seed=3",))


def test_steps_with_a_training_that_stops():
    with pytest.raises(
        ValueError, match=r"`training.stop_after` cannot be set where training.iterations varies"
    ):
        over("training.iterations=10,20", overrides=("training.stop_after=5",))


@pytest.mark.parametrize("what", ["circle", "prompts", CircleConfig()])
def test_other_studies_have_no_grid(what, tmp_path):
    with pytest.raises(ValueError, match="`over` and `seeds` are for a study of images"):
        spurion.study(what, out=tmp_path / "none", seeds=(0, 1))
    assert not (tmp_path / "none").exists()


def test_values_must_be_lists(tmp_path):
    with pytest.raises(ValueError, match="`over` must be a mapping from fields to lists of values, got str"):
        spurion.study("digits", out=tmp_path, over={"distance": "l2"})


def stored(tmp_path, config):
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))


def test_a_grid_may_grow(tmp_path):
    small = over("denoiser.width=32,64")
    assert grown(tmp_path, small) == (small, small)
    stored(tmp_path, small)
    more = over("denoiser.width=16,64,32", seeds=(0, 1))
    assert grown(tmp_path, more) == (small, more)
    assert {cell.folder for cell in cells_of(small, tmp_path)} < {c.folder for c in cells_of(more, tmp_path)}


def test_fields_keep_the_order_of_the_folder(tmp_path):
    stored(tmp_path, over("epsilon=0.1,0.2", "denoiser.width=8,16"))
    _, config = grown(tmp_path, over("denoiser.width=8,16", "epsilon=0.1,0.2,0.3"))
    assert list(config.over) == ["epsilon", "denoiser.width"]


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (("denoiser.blocks=1,2",), "holds a grid over `denoiser.width`; choose another `--out`"),
        (("denoiser.width=32,128",), "holds a grid with denoiser.width=64 too; name it as well"),
        (("denoiser.width=32,64", "epsilon=0.1,0.2"), "holds a grid over `denoiser.width`"),
    ],
)
def test_another_grid_is_refused(tmp_path, asked, sentence):
    stored(tmp_path, over("denoiser.width=32,64"))
    with pytest.raises(ValueError, match=sentence):
        grown(tmp_path, over(*asked))


def test_a_grid_of_another_study_is_refused(tmp_path):
    stored(tmp_path, over("denoiser.width=32,64", seeds=(0, 1)))
    with pytest.raises(ValueError, match=r"another study: `epsilon` is 0.1 there and 0.2 now"):
        grown(tmp_path, over("denoiser.width=32,64", seeds=(0, 1), overrides=("epsilon=0.2",)))
    with pytest.raises(ValueError, match="holds a grid with seed 1 too"):
        grown(tmp_path, over("denoiser.width=32,64"))


def test_a_longer_training_is_another_one(tmp_path):
    stored(tmp_path, over("training.iterations=10,20"))
    with pytest.raises(ValueError, match="whose training goes to step 20, and one to 40 is another training"):
        grown(tmp_path, over("training.iterations=10,20,40"))
    assert len(grown(tmp_path, over("training.iterations=5,10,20"))[1].combinations) == 3
