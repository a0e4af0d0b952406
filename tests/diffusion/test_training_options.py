"""Every way to run a training learns the same digits model."""

import json
import multiprocessing

import pytest
import torch

from spurion.data import load_split
from spurion.diffusion import device
from spurion.diffusion.denoisers.network_config import MLPConfig
from spurion.diffusion.denoisers.unet import UNetConfig
from spurion.diffusion.schedule import DDPMSchedule
from spurion.diffusion.training import TrainingConfig, train

PLAIN = {"device": "cpu", "precision": "float32", "channels_last": False, "compile": False}
MLP = MLPConfig(width=32, blocks=2)
UNET = UNetConfig(channels=8, multipliers=(1, 2), blocks=1, groups=4, dropout=0.0, attention=(4,))
TRAINING = {
    MLP: TrainingConfig(iterations=400, batch_size=64, warmup=20, log_every=20, **PLAIN),
    UNET: TrainingConfig(iterations=60, batch_size=32, warmup=20, log_every=20, **PLAIN),
}

gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def trained(folder, denoiser, **options):
    """The mean loss of the last interval."""
    images = load_split("digits").train.images[:64].clone()
    training = TRAINING[denoiser].model_copy(update=options)
    rest = {"schedule": DDPMSchedule(), "seed": 0, "folder": folder}
    if training.compile:
        # In a process of its own, without the run-time type checks of the tests, which do not compile.
        processes = multiprocessing.get_context("forkserver")
        processes.set_forkserver_preload(["spurion.diffusion.training"])
        process = processes.Process(target=train, args=(images, denoiser, training), kwargs=rest)
        process.start()
        process.join()
        assert process.exitcode == 0
    else:
        train(images, denoiser, training, **rest)
    return json.loads((folder / "training.jsonl").read_text().splitlines()[-1])["loss"]


@pytest.fixture(scope="module", params=[MLP, UNET], ids=lambda denoiser: denoiser.kind)
def plain(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain")
    loss = trained(folder, request.param)
    first = json.loads((folder / "training.jsonl").read_text().splitlines()[0])["loss"]
    assert loss < 0.7 * first  # it has learned something, so that a tolerance of 3 % says something
    return request.param, loss


def test_bf16_reaches_the_float32_loss_within_three_percent(plain, tmp_path):
    denoiser, loss = plain
    other = trained(tmp_path, denoiser, precision="bf16")
    assert other == pytest.approx(loss, rel=0.03)
    assert other != loss


def test_channels_last_reaches_the_same_loss_within_one_percent(plain, tmp_path):
    denoiser, loss = plain
    # The same numbers in another order: rounding, magnified by some hundred steps of Adam.
    assert trained(tmp_path, denoiser, channels_last=True) == pytest.approx(loss, rel=0.01)


@pytest.mark.slow
@pytest.mark.skipif(not device._compiler("cpu"), reason="needs a C++ compiler")
def test_a_compiled_network_reaches_the_same_loss_within_one_percent(tmp_path):
    losses = [trained(tmp_path / str(flag), MLP, compile=flag) for flag in (False, True)]
    assert losses[1] == pytest.approx(losses[0], rel=0.01)


@pytest.mark.gpu
@gpu
@pytest.mark.parametrize(
    "options",
    [
        {"precision": "float32"},
        {"precision": "bf16"},
        {"channels_last": True},
        {"compile": "auto"},
        {"precision": "auto", "channels_last": "auto", "compile": "auto"},
    ],
)
def test_cuda_reaches_the_loss_of_the_cpu_within_three_percent(plain, tmp_path, options):
    denoiser, loss = plain
    assert trained(tmp_path, denoiser, device="cuda", **options) == pytest.approx(loss, rel=0.03)


@pytest.mark.gpu
@gpu
def test_cuda_gives_the_same_bytes_twice(tmp_path):
    options = {"device": "cuda", "precision": "auto", "channels_last": "auto", "compile": "auto"}
    for name in ("one", "other"):
        trained(tmp_path / name, UNET, **options)
    weights = [next((tmp_path / name / "model").rglob("*.safetensors")) for name in ("one", "other")]
    assert weights[0].read_bytes() == weights[1].read_bytes()
