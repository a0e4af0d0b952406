import dataclasses
import json

import pytest
import torch
from safetensors.torch import save_file

from spurion.core.tensors import Damaged
from spurion.diffusion.checkpoint import TrainingState, load_state, owner, save_state

IDENTITY = {"seed": 0, "training": {"iterations": 10, "clip_norm": None}, "images": {"shape": [2, 1, 8, 8]}}


def a_state(step=7):
    draw = torch.Generator().manual_seed(step)
    vectors = [torch.randn(5, generator=draw) for _ in range(4)]
    log = torch.tensor([[4, 0.1, 1e-3]], dtype=torch.float64)
    return TrainingState(step, *vectors, torch.tensor([0.5, 0.25]), log)


def test_a_state_comes_back_bit_by_bit(tmp_path):
    path, state = tmp_path / "folder" / "state.safetensors", a_state()
    save_state(path, state, IDENTITY)
    loaded = load_state(path, IDENTITY)
    assert loaded.step == 7
    for field in dataclasses.fields(TrainingState)[1:]:
        one, other = getattr(state, field.name), getattr(loaded, field.name)
        assert one.dtype == other.dtype
        assert torch.equal(one, other)


def test_equal_states_are_equal_files(tmp_path):
    files = [tmp_path / "a", tmp_path / "b"]
    for path in files:
        save_state(path, a_state(), IDENTITY)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_an_empty_log_is_kept(tmp_path):
    state = dataclasses.replace(a_state(), losses=torch.empty(0), log=torch.empty(0, 3))
    save_state(tmp_path / "s", state, IDENTITY)
    loaded = load_state(tmp_path / "s", IDENTITY)
    assert loaded.losses.shape == (0,)
    assert loaded.log.shape == (0, 3)


def test_no_file_is_no_state(tmp_path):
    assert load_state(tmp_path / "s", IDENTITY) is None
    assert owner(tmp_path / "s") is None


def test_whose_state_it_is_can_be_asked(tmp_path):
    save_state(tmp_path / "s", a_state(), IDENTITY)
    assert owner(tmp_path / "s") == IDENTITY


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"seed": 1}, "its seed is 0, not 1"),
        ({"training": {"iterations": 20, "clip_norm": None}}, "its training.iterations is 10, not 20"),
        ({"training": {"iterations": 10, "clip_norm": 1.0}}, "its training.clip_norm is None, not 1.0"),
        ({"images": {"shape": [3, 1, 8, 8]}}, r"its images.shape is \[2, 1, 8, 8\], not \[3, 1, 8, 8\]"),
        ({"schedule": {"steps": 10}}, "its schedule is None, not {'steps': 10}"),
    ],
)
def test_the_state_of_another_training_is_refused(tmp_path, changed, words):
    save_state(tmp_path / "s", a_state(), IDENTITY)
    with pytest.raises(ValueError, match=f"belongs to another training .{words}.; delete it to train anew"):
        load_state(tmp_path / "s", IDENTITY | changed)


@pytest.mark.parametrize("kept", [0, 4, 100, -1])
def test_a_truncated_file_is_named(tmp_path, kept):
    path = tmp_path / "state.safetensors"
    save_state(path, a_state(), IDENTITY)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(Damaged, match=r"state\.safetensors is damaged"):
        load_state(path, IDENTITY)


@pytest.mark.parametrize("header", [None, {"training": "{"}, {"training": "{}"}, {"training": "[1]"}])
def test_a_header_that_says_nothing_is_damage(tmp_path, header):
    save_file({"weights": torch.zeros(2)}, tmp_path / "s", metadata=header)
    with pytest.raises(Damaged, match="is damaged"):
        load_state(tmp_path / "s", IDENTITY)
    assert owner(tmp_path / "s") is None


def test_a_missing_tensor_is_damage(tmp_path):
    header = {"training": json.dumps({"step": 1, "identity": IDENTITY})}
    save_file({"weights": torch.zeros(2)}, tmp_path / "s", metadata=header)
    with pytest.raises(Damaged, match=r"is damaged \(it holds no training state"):
        load_state(tmp_path / "s", IDENTITY)


def test_a_failed_write_leaves_the_older_state(tmp_path, monkeypatch):
    save_state(tmp_path / "s", a_state(step=1), IDENTITY)

    def full(tensors, path, metadata):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("spurion.core.tensors.save_file", full)
    with pytest.raises(OSError, match="No space left"):
        save_state(tmp_path / "s", a_state(step=2), IDENTITY)
    assert load_state(tmp_path / "s", IDENTITY).step == 1
    assert [path.name for path in tmp_path.iterdir()] == ["s"]
