import json
import math

import pytest
import torch
from pydantic import ValidationError

from spurion.diffusion.denoisers import DENOISERS
from spurion.diffusion.denoisers.exact import ExactDenoiser
from spurion.diffusion.denoisers.network_config import MLPConfig
from spurion.diffusion.denoisers.unet import UNetConfig
from spurion.diffusion.schedule import DDPMSchedule
from spurion.diffusion.training import TrainingConfig, TrainingDiverged, train

SCHEDULE = DDPMSchedule()
ITEMS = torch.rand(10, 1, 4, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1
SMALL = MLPConfig(width=8, blocks=1)
SHORT = TrainingConfig(iterations=23, batch_size=4, warmup=5, log_every=4, checkpoint_every=5, device="cpu")


def run(folder, images=ITEMS, denoiser=SMALL, training=SHORT, seed=0, **rest):
    return train(images, denoiser, training, schedule=SCHEDULE, seed=seed, folder=folder, **rest)


def contents(folder):
    """Every file of a training by name."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class Stopped(Exception):
    pass


def stop_after(step):
    def progress(done, total):
        if done == step:
            raise Stopped

    return progress


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    run(folder)
    return contents(folder)


def test_two_patterns_are_learned_to_the_exact_posterior_mean(tmp_path):
    patterns = torch.tensor([[-0.5, 0.5], [0.5, 0.5]])
    config = TrainingConfig(iterations=1500, batch_size=128, learning_rate=5e-3, warmup=50, device="cpu")
    learned = run(tmp_path, patterns, MLPConfig(width=32, blocks=2), config)
    exact = ExactDenoiser(patterns, SCHEDULE)
    x = patterns[torch.arange(2000) % 2]
    noise = torch.randn(2000, 2, generator=torch.Generator().manual_seed(1))
    for t in (100, 300, 500):
        alpha, sigma = SCHEDULE.alpha(torch.tensor(t)).float(), SCHEDULE.sigma(torch.tensor(t)).float()
        x_t = alpha * x + sigma * noise
        error = (learned(x_t, t) - exact(x_t, t)).square().mean().sqrt()
        # The patterns are 1 apart; a network without time or image would be off by 0.3 to 0.5.
        assert error < 0.05


def test_the_folder_holds_log_model_and_state(undisturbed):
    assert {name.split("/")[0] for name in undisturbed} == {".seals", "training.jsonl", "model", "state"}
    lines = [json.loads(line) for line in undisturbed["training.jsonl"].decode().splitlines()]
    assert [line["step"] for line in lines] == [4, 8, 12, 16, 20, 23]
    assert all(math.isfinite(line["loss"]) and line["loss"] > 0 for line in lines)
    assert lines[-1]["learning_rate"] == SHORT.learning_rate_at(22)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_model(undisturbed, tmp_path):
    run(tmp_path / "same")
    run(tmp_path / "other", seed=1)
    assert contents(tmp_path / "same") == undisturbed
    other = contents(tmp_path / "other")
    assert other.keys() == undisturbed.keys()
    assert other["training.jsonl"] != undisturbed["training.jsonl"]


@pytest.mark.parametrize("stop", range(1, 24))
def test_stopped_after_any_step_and_started_again_the_bytes_are_the_same(undisturbed, tmp_path, stop):
    with pytest.raises(Stopped):
        run(tmp_path, progress=stop_after(stop))
    taken = []
    run(tmp_path, progress=lambda done, total: taken.append(done))
    assert taken == list(range(stop // 5 * 5 + 1, 24)) if stop < 23 else not taken
    assert contents(tmp_path) == undisturbed


def test_what_a_kill_cut_short_is_removed(undisturbed, tmp_path):
    with pytest.raises(Stopped):
        run(tmp_path, progress=stop_after(12))
    for name in (".training.jsonl.a1b2c3d4.jsonl", "state/.state.safetensors.a_b2c3d4.safetensors"):
        (tmp_path / name).write_bytes(b"half")
    run(tmp_path)
    assert contents(tmp_path) == undisturbed


def test_how_often_states_are_saved_changes_no_number(undisturbed, tmp_path):
    with pytest.raises(Stopped):
        run(tmp_path, progress=stop_after(12))
    run(tmp_path, training=SHORT.model_copy(update={"checkpoint_every": 2}))
    assert contents(tmp_path)["training.jsonl"] == undisturbed["training.jsonl"]


def test_dropout_survives_a_stop(tmp_path):
    unet = UNetConfig(channels=4, multipliers=(1, 1), blocks=1, groups=2, dropout=0.5, attention=())
    config = SHORT.model_copy(update={"iterations": 6, "checkpoint_every": 3, "replacement": False})
    run(tmp_path / "whole", denoiser=unet, training=config)
    with pytest.raises(Stopped):
        run(tmp_path / "halved", denoiser=unet, training=config, progress=stop_after(4))
    run(tmp_path / "halved", denoiser=unet, training=config)
    assert contents(tmp_path / "halved") == contents(tmp_path / "whole")


def with_processor(monkeypatch, *instructions):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: dict.fromkeys(instructions, True))


@pytest.mark.parametrize(("before", "after"), [((), ("avx512_bf16",)), (("avx512_bf16",), ())])
def test_a_training_goes_on_in_its_precision_on_another_processor(tmp_path, monkeypatch, before, after):
    unet = UNetConfig(channels=4, multipliers=(1, 1), blocks=1, groups=2, attention=())
    config = SHORT.model_copy(update={"iterations": 6, "checkpoint_every": 3})
    with_processor(monkeypatch, *before)
    run(tmp_path / "whole", denoiser=unet, training=config)
    with pytest.raises(Stopped):
        run(tmp_path / "moved", denoiser=unet, training=config, progress=stop_after(4))
    with_processor(monkeypatch, *after)
    for _ in range(2):  # once to go on, once to load what is finished
        run(tmp_path / "moved", denoiser=unet, training=config)
        assert contents(tmp_path / "moved") == contents(tmp_path / "whole")
    other = run(tmp_path / "begun there", denoiser=unet, training=config)
    assert contents(tmp_path / "begun there") != contents(tmp_path / "whole")
    assert other.dtype == torch.float32


def test_a_precision_asked_for_does_not_give_way(tmp_path):
    config = SHORT.model_copy(update={"precision": "float32"})
    run(tmp_path, training=config)
    with pytest.raises(ValueError, match=r"its execution.bf16 is False, not True"):
        run(tmp_path, training=SHORT.model_copy(update={"precision": "bf16"}))


def test_a_finished_training_is_loaded_not_repeated(tmp_path):
    first = run(tmp_path)
    before = contents(tmp_path)
    taken = []
    second = run(tmp_path, progress=lambda done, total: taken.append(done))
    assert not taken
    assert contents(tmp_path) == before
    assert torch.equal(first(ITEMS, 500), second(ITEMS, 500))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"seed": 1}, "its seed is 0, not 1"),
        ({"images": ITEMS[:5]}, "its images.sha256 is"),
        ({"images": -ITEMS}, "its images.sha256 is"),
        ({"denoiser": MLPConfig(width=9, blocks=1)}, "its denoiser.width is 8, not 9"),
        (
            {"training": SHORT.model_copy(update={"clip_norm": None})},
            "its training.clip_norm is 1.0, not None",
        ),
    ],
)
def test_another_training_in_the_same_folder_is_refused(tmp_path, changed, words):
    with pytest.raises(Stopped):
        run(tmp_path, progress=stop_after(12))
    before = contents(tmp_path)
    with pytest.raises(ValueError, match=f"belongs to another training .{words}"):
        run(tmp_path, **changed)
    assert contents(tmp_path) == before


def flipped(content, place):
    place %= len(content)
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


@pytest.mark.parametrize("place", [0, 100, 400, -1, None])
def test_a_damaged_state_is_told_and_the_training_starts_again(undisturbed, tmp_path, place, caplog):
    with pytest.raises(Stopped):
        run(tmp_path, progress=stop_after(12))
    state = tmp_path / "state" / "state.safetensors"
    whole = state.read_bytes()
    state.write_bytes(whole[:-100] if place is None else flipped(whole, place))
    taken = []
    run(tmp_path, progress=lambda done, total: taken.append(done))
    assert taken == list(range(1, 24))
    assert contents(tmp_path) == undisturbed
    (record,) = caplog.records
    assert record.getMessage().startswith(f"{state} is damaged (")
    assert record.getMessage().endswith("; the training starts again.")


@pytest.mark.parametrize("what", ["flipped", "gone"])
@pytest.mark.parametrize(
    "name",
    ["training.jsonl", "model/model_index.json", "model/scheduler/scheduler_config.json"]
    + [f"model/unet/{name}" for name in ("config.json", "diffusion_pytorch_model.safetensors")],
)
def test_what_is_damaged_of_a_finished_training_is_made_from_its_state(
    undisturbed, tmp_path, name, what, caplog
):
    run(tmp_path)
    if what == "gone":
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(flipped(undisturbed[name], len(undisturbed[name]) // 2))
    run(tmp_path, progress=stop_after(0))
    assert contents(tmp_path) == undisturbed
    why = "is gone" if what == "gone" else "is damaged (its checksum differs)"
    told = [record.getMessage() for record in caplog.records]
    assert told == [f"{tmp_path / name} {why}; it is made again."]


@pytest.mark.parametrize("lost", ["seal", "state"])
def test_a_finished_training_needs_no_seal_and_no_state(undisturbed, tmp_path, lost):
    run(tmp_path)
    (tmp_path / {"seal": ".seals/train.json", "state": "state/state.safetensors"}[lost]).unlink()
    run(tmp_path, progress=stop_after(0))
    left = contents(tmp_path)
    assert left == {name: content for name, content in undisturbed.items() if name in left}
    assert ("state/state.safetensors" in left) == (lost == "seal")


def test_a_diverging_loss_stops_the_training_with_its_step(tmp_path):
    config = SHORT.model_copy(update={"learning_rate": 1e30, "clip_norm": None, "warmup": 0})
    for _ in range(2):  # it stays so
        with pytest.raises(
            TrainingDiverged, match=r"The training loss became (nan|inf) at step \d+; lower"
        ) as caught:
            run(tmp_path, training=config)
        assert 0 < caught.value.step < 23
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("kind", ["exact", "gaussian"])
def test_closed_forms_go_through_the_same_door(tmp_path, kind):
    made = [run(tmp_path, denoiser=DENOISERS[kind]()) for _ in range(2)]
    assert sorted(path.name for path in tmp_path.iterdir()) == [".seals", "model"]
    assert torch.equal(made[0](ITEMS, 500), made[1](ITEMS, 500))


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (ITEMS[:0], r"at least one item, with shape \(K, \*shape\), got \(0, 1, 4, 4\)"),
        (torch.zeros(3), r"got \(3,\)"),
        (ITEMS.double(), "`images` must be float32, got torch.float64"),
        (ITEMS * float("nan"), "`images` must be finite"),
        (ITEMS / 0, "`images` must be finite"),
    ],
)
def test_bad_images_are_refused(tmp_path, images, words):
    with pytest.raises(ValueError, match=words):
        run(tmp_path, images)
    assert not list(tmp_path.iterdir())


def test_an_unwritable_folder_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        run(tmp_path / "file")


@pytest.mark.parametrize(
    "field",
    ["iterations", "batch_size", "learning_rate", "log_every", "checkpoint_every", "clip_norm"],
)
def test_a_config_refuses_what_makes_no_sense(field):
    with pytest.raises(ValidationError, match=field):
        TrainingConfig(**{field: 0})
    with pytest.raises(ValidationError, match="ema_decay"):
        TrainingConfig(ema_decay=1.0)


@pytest.mark.parametrize(
    ("fields", "rates"),
    [
        ({"warmup": 0, "decay": "constant"}, [1, 1, 1, 1, 1, 1]),
        ({"warmup": 2, "decay": "constant"}, [0.5, 1, 1, 1, 1, 1]),
        (
            {"warmup": 2, "decay": "cosine"},
            [0.5, 1, 1, 0.5 + 0.5 * math.cos(math.pi / 4), 0.5, 0.5 - 0.5**1.5],
        ),
        ({"warmup": 9, "decay": "cosine"}, [1 / 9, 2 / 9, 3 / 9, 4 / 9, 5 / 9, 6 / 9]),
        ({"warmup": 6, "decay": "cosine"}, [1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1]),
    ],
)
def test_learning_rates(fields, rates):
    config = TrainingConfig(iterations=6, learning_rate=1.0, **fields)
    assert [config.learning_rate_at(step) for step in range(6)] == pytest.approx(rates)


def test_average_decays():
    ramp = TrainingConfig(ema_decay=0.9, ema_ramp=True)
    assert [ramp.ema_decay_at(step) for step in (0, 1, 80, 90, 1000)] == pytest.approx(
        [0.1, 2 / 11, 0.9, 0.9, 0.9]
    )
    assert TrainingConfig(ema_decay=0.9, ema_ramp=False).ema_decay_at(0) == 0.9


def test_weights_spoilt_by_the_last_step_are_not_saved(tmp_path):
    changes = {"learning_rate": 1e39, "clip_norm": None, "warmup": 0, "iterations": 1}
    config = SHORT.model_copy(update=changes)
    with pytest.raises(ValueError, match="The weights became NaN or infinite in the last steps; lower"):
        run(tmp_path, training=config)
    assert not (tmp_path / "model").exists()
