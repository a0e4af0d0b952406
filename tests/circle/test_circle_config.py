import pytest

from spurion.circle.config import CircleConfig, circle_config
from spurion.circle.study import circle_plan
from spurion.studies.kinds import kind_asked_for, plan, study


def test_the_recipe_is_the_default_and_resolves_to_itself(tmp_path):
    config = circle_config("circle")
    assert config == CircleConfig() == circle_config(config)
    assert config.table.times == (1.0, 0.5, 0.25, 0.15, 0.05, 0.02, 0.005, 0.001, 1e-5)
    assert config.trained.counts == (2, 9, 1000)
    assert config.trained.linkage == {2: 3.0, 9: 2.0, 1000: 0.45}
    path = tmp_path / "mine.yaml"
    path.write_text("kind: circle\nseed: 4\n")
    assert circle_config(path).seed == 4
    assert kind_asked_for(path)
    path.write_text("name: digits\n")
    assert not kind_asked_for(path)
    assert not kind_asked_for(tmp_path / "none.yaml")
    assert not kind_asked_for("digits")
    assert kind_asked_for("circle")


def test_lists_are_sorted_and_unique():
    config = circle_config(overrides=["phases.counts=[9, 2, 9]", "table.times=[0.1, 1, 0.1]"])
    assert config.phases.counts == (2, 9)
    assert config.table.times == (1.0, 0.1)


def test_one_field_of_a_network_is_set_and_a_network_left_out():
    config = circle_config(
        overrides=["trained.networks.paper.training.iterations=7", "trained.networks.code=null"]
    )
    assert config.trained.networks["paper"].training.iterations == 7
    assert config.trained.networks["paper"].denoiser == CircleConfig().trained.networks["paper"].denoiser
    assert config.trained.networks["code"] is None


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("phases.counts=[0]", r"`phases\.counts\.0`: .*greater than or equal to 1, got 0"),
        ("phases.betas=[0]", r"`phases\.betas\.0`: .*greater than 0"),
        ("landscapes.betas=[-1]", r"`landscapes\.betas\.0`: .*greater than 0"),
        ("laws.betas=[.inf]", r"`laws\.betas\.0`"),
        ("landscapes.counts=[60001]", "less than or equal to 60000"),
        ("landscape.points=9", "there is no field `landscape`"),
        ("table.times=[2]", "less than or equal to 1"),
        ("branches={lowest: 3, highest: 2}", "`lowest` must be below `highest`, got 3 and 2"),
        ("trained.counts=[5]", r"`linkage` needs a distance for K = 5, such as trained\.linkage\.5=1"),
        ("trained.networks.paper.denoiser.kind=unet", "denoiser"),
        ("trained.samples=1", "greater than or equal to 2"),
        ("patterns=square", "patterns"),
        ("kind=digits", "kind"),
    ],
)
def test_bad_fields_are_one_sentence(override, message):
    with pytest.raises(ValueError, match=message) as caught:
        circle_config(overrides=[override])
    assert "\n" not in str(caught.value)


def test_the_plan_counts_what_would_be_done():
    made = plan("circle", workers=2)
    assert made == circle_plan(workers=2)
    assert made.trained == 6
    assert made.exact == 7 + 3 + 3 + 9 + 36 + 5 + 5
    assert 60 < made.seconds < 600
    assert circle_plan(overrides=["trained.counts=[]"], workers=2).trained == 0


def test_what_does_not_apply_is_refused(tmp_path):
    out = tmp_path / "never-made"
    with pytest.raises(ValueError, match="`--allow-download` does not apply"):
        study("circle", out=out, allow_download=True)
    with pytest.raises(ValueError, match="`--allow-download` does not apply"):
        plan("circle", allow_download=True)
    with pytest.raises(ValueError, match=r"`device` must be cpu for the circle, .*, got cuda"):
        study("circle", out=out, device="cuda")
    with pytest.raises(ValueError, match="`workers` must be at least 1, got 0"):
        study("circle", out=out, workers=0)
    assert not out.exists()
