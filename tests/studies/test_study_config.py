import pytest

from spurion.studies.config import (
    apply_overrides,
    load_config,
    resolve_config,
    sample_size_for,
)
from spurion.studies.recipes import RECIPES, named_config


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_resolves_and_survives_a_round_trip(name):
    config = named_config(name)
    assert resolve_config(config.model_dump(mode="json")) == config
    assert config.train_sizes[0] == (16 if name.endswith("-small") else 2)


@pytest.mark.parametrize(
    ("recipe", "drop", "plateau", "available"),
    [
        ("mnist", 4000, 32000, 60000),
        ("fashion-mnist", 4000, 16000, 60000),
        ("cifar10", 2000, 16000, 50000),
        ("lsun-church", 2000, 16000, 126227),
    ],
)
def test_paper_recipes_follow_tables_1_and_3(recipe, drop, plateau, available):
    config = named_config(recipe)
    sizes = config.sizes(available)
    assert len(sizes) == 38
    assert (sizes[0], sizes[4], sizes[33], sizes[37]) == (2, drop, plateau, available)
    training = config.training
    assert (training.batch_size, training.iterations) == {
        "mnist": (128, 400_000),
        "fashion-mnist": (128, 400_000),
        "cifar10": (128, 500_000),
        "lsun-church": (64, 800_000),
    }[recipe]
    assert (training.optimizer, training.learning_rate, training.warmup) == ("adam", 2e-4, 0)
    assert (training.ema_decay, training.clip_norm, training.replacement) == (0.9999, 1.0, False)
    assert (config.sampler.kind, config.sampler.steps, config.sample_size) == ("ddpm", 1000, "4x")
    assert config.data.subset_seed == 3407
    assert config.distance == ("l2" if "mnist" in recipe else "lpips-alex")


@pytest.mark.parametrize(("rule", "size", "count"), [(2000, 5, 2000), ("4x", 2, 1000), ("16x", 100, 1600)])
def test_sample_size(rule, size, count):
    assert sample_size_for(rule, size) == count


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train_sizes=[0]", r"`train_sizes\.0.*got 0"),
        ("train_sizes=[]", "train_sizes"),
        ("train_size=[2]", "there is no field `train_size`"),
        ("training.iterations=0", "`training.iterations`"),
        ("training.iterations", "field=value"),
        ("=3", "field=value"),
        ("seed=-1", "`seed`"),
        ("seed={", "not valid YAML"),
        ("name.x=1", "cannot be set inside a plain value"),
        ("denoiser.kind=transformer", "denoiser"),
        ("distance=l3", "must be one of l2"),
        ("thresholds=peaks", "thresholds"),
        ("sample_size=0x", "sample_size"),
        ("sample_size=1", "sample_size"),
        ("epsilon=0.5", "epsilon"),
        ("data.holdout=1.5", "data.holdout"),
    ],
)
def test_bad_fields_are_one_sentence(override, message):
    with pytest.raises(ValueError, match=message) as caught:
        named_config("digits", [override])
    assert "\n" not in str(caught.value)


def test_overrides_do_not_change_what_they_are_given():
    values = {"a": {"b": 1}}
    assert apply_overrides(values, ["a.c=2"]) == {"a": {"b": 1, "c": 2}}
    assert values == {"a": {"b": 1}}
    assert apply_overrides({}, ["a.b=x"]) == {"a": {"b": "x"}}


def test_sizes_are_sorted_unique_and_bounded():
    config = named_config("digits", ["train_sizes=[8, all, 2, 8]"])
    assert config.sizes(100) == (2, 8, 100)
    with pytest.raises(ValueError, match="asks for 8 training images, but digits has 5"):
        named_config("digits", ["train_sizes=[8]"]).sizes(5)


def test_files_and_unknown_names(tmp_path):
    path = tmp_path / "my.yaml"
    with pytest.raises(ValueError, match="no file"):
        named_config(path)
    path.write_text("name: [")
    with pytest.raises(ValueError, match="not valid YAML"):
        load_config(path)
    path.write_text("- 1")
    with pytest.raises(ValueError, match="must hold a mapping"):
        load_config(path)
    path.write_text("name: x")
    with pytest.raises(ValueError, match=r"my\.yaml: the field"):
        named_config(path)
    with pytest.raises(ValueError, match="There is no recipe 'digit'; the recipes are digits, "):
        named_config("digit")


def test_device_is_an_override():
    assert named_config("digits", device="cpu").training.device == "cpu"


def test_a_short_schedule_is_sampled_in_all_its_steps_where_none_are_given():
    values = named_config("digits", ["schedule.steps=40", "sampler.steps=40"]).model_dump(mode="json")
    del values["sampler"]["steps"]
    config = resolve_config(values)
    assert config.sampler.steps == 40
    assert resolve_config(config.model_dump(mode="json")) == config
    assert resolve_config(values, ["schedule.steps=2000"]).sampler.steps == 1000
    with pytest.raises(ValueError, match="`steps` must be at most the schedule's 40, got 41"):
        resolve_config(values, ["sampler.steps=41"])
