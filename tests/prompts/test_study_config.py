"""Configurations of the studies of prompts: what they refuse, and what a plan says."""

import pytest
import yaml

from spurion.prompts.study.config import prompts_config
from spurion.prompts.study.planning import prompts_plan
from spurion.prompts.study.stable_diffusion import PROMPTS, stable_diffusion_config
from spurion.prompts.table import read_table


def test_a_configuration_survives_its_file(tmp_path):
    config = prompts_config("prompts", ["counts.planted={40: 2, 3: 4}", "seed=7"])
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json")))
    again = prompts_config(tmp_path / "study.yaml")
    assert again == config == prompts_config(config)
    assert list(again.counts.planted) == [3, 40]
    assert again.training.iterations == prompts_config().training.iterations


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("data=mnist", "`data`"),
        ("counts.planted={1: 5}", "2 to 10,000, got 1: 5"),
        ("counts.planted={5: 0}", "by numbers of copies, 2 to 10,000, got 5: 0"),
        ("counts.single=0", "counts.single"),
        ("network.channels=[32]", "network.channels"),
        ("network.channels=[32, 20]", "multiples of 16, got 20"),
        ("network.text_heads=3", "multiple of `text_heads`, got 64 and 3"),
        ("unconditional=0", "unconditional"),
        ("prediction=score", "prediction"),
        ("colour=1", "there is no field `colour`"),
    ],
)
def test_what_is_wrong_is_refused_in_a_sentence(override, sentence):
    with pytest.raises(ValueError, match=sentence):
        prompts_config("prompts", [override])


def test_a_plan_counts_prompts_and_grows_with_the_work():
    plan = prompts_plan()
    assert plan.items == 2680
    assert plan.prompts == {
        "single": 1000, "planted-5": 24, "planted-20": 24, "planted-40": 24, "shared": 24, "held-out": 100,
    }  # fmt: skip
    double = prompts_plan("prompts", [f"training.iterations={2 * plan.config.training.iterations}"])
    more = prompts_plan("prompts", ["seeds=8"])
    assert 60 < plan.seconds < 1800
    assert plan.seconds < more.seconds < 2 * plan.seconds
    assert plan.seconds < double.seconds < 2 * plan.seconds


def test_the_prompts_of_the_paper():
    table = read_table(PROMPTS)
    labels = [entry.label for entry in table.entries]
    assert labels == ["memorized"] * 2 + ["spurious"] * 4 + ["generalized"] * 3
    assert table.entries[3].prompt == "Pencil pleat curtains in collection Avinon, fabric: 129-66"


def test_a_study_of_stable_diffusion_needs_its_model(tmp_path):
    with pytest.raises(ValueError, match="give `--model DIR`"):
        stable_diffusion_config()
    config = stable_diffusion_config("stable-diffusion", ["model=somewhere", "seeds=2"])
    assert (config.model, config.seeds, config.table) == ("somewhere", 2, PROMPTS)
    (tmp_path / "sd.yaml").write_text("kind: stable-diffusion\nmodel: there\nprompts: mine.csv\n")
    assert str(stable_diffusion_config(tmp_path / "sd.yaml").table) == "mine.csv"
    assert stable_diffusion_config(config) == config
    with pytest.raises(ValueError, match="there is no field `guidence`"):
        stable_diffusion_config("stable-diffusion", ["model=x", "guidence=1"])
