from contextlib import nullcontext
from dataclasses import asdict

import pytest
import torch

from spurion.diffusion import device
from spurion.diffusion.device import Execution, choose_device, choose_execution

IMAGE = (1, 8, 8)


def pretend(
    monkeypatch, *, processor=(), cuda=False, mps=False, bf16=True, compiler=True, headers=True, triton=True
):
    monkeypatch.setattr(
        torch.cpu, "get_capabilities", lambda: {"avx2": True, **dict.fromkeys(processor, True)}
    )
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: bf16)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    monkeypatch.setattr(device.shutil, "which", lambda name: "/bin/c++" if compiler else None)
    monkeypatch.setattr(device.Path, "is_file", lambda path: headers and path.name == "Python.h")
    monkeypatch.setattr(device.importlib.util, "find_spec", lambda name: name if triton else None)


def auto(shape=IMAGE, *, convolutions=False):
    return choose_execution("auto", "auto", "auto", "auto", shape, convolutions=convolutions)


@pytest.mark.parametrize(
    ("cuda", "mps", "kind"),
    [(True, True, "cuda"), (True, False, "cuda"), (False, True, "mps"), (False, False, "cpu")],
)
def test_auto_takes_the_fastest_device_there_is(monkeypatch, cuda, mps, kind):
    pretend(monkeypatch, cuda=cuda, mps=mps)
    assert choose_device("auto").type == kind
    assert choose_device("cpu").type == "cpu"


@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_refused(monkeypatch, name):
    pretend(monkeypatch)
    with pytest.raises(ValueError, match=f"`device` is {name}, but torch finds no such device"):
        choose_device(name)
    with pytest.raises(ValueError, match="torch finds no such device"):
        choose_execution(name, "auto", "auto", "auto", IMAGE)


def test_auto_is_plain_on_the_cpu(monkeypatch):
    pretend(monkeypatch)
    assert auto() == Execution("cpu", bf16=False, channels_last=False, compile=False)


@pytest.mark.parametrize("instructions", ["avx512_bf16", "amx_bf16", "bf16"])
def test_auto_is_bf16_for_convolutions_where_the_processor_has_it(monkeypatch, instructions):
    pretend(monkeypatch, processor=[instructions])
    assert auto(convolutions=True) == Execution("cpu", bf16=True, channels_last=False, compile=False)
    assert not auto().bf16
    assert not choose_execution("cpu", "float32", "auto", "auto", IMAGE, convolutions=True).bf16
    pretend(monkeypatch)
    assert not auto(convolutions=True).bf16


def test_a_training_goes_on_as_it_was_begun():
    chosen = Execution("cpu", bf16=True, channels_last=False, compile=False)
    begun = {"device": "cpu", "bf16": False, "channels_last": False, "compile": False}
    both = ("bf16", "channels_last")
    assert chosen.as_begun(begun, both) == chosen.as_begun(begun, ["bf16"]) == Execution(**begun)
    assert Execution(**begun).as_begun(asdict(chosen), both) == chosen
    last = {**asdict(chosen), "channels_last": True}
    assert chosen.as_begun(last, both) == Execution(**last)
    assert chosen.as_begun(last, ["bf16"]) == chosen.as_begun(begun, []) == chosen
    for other in (None, {}, asdict(chosen), {**begun, "compile": True}, {**begun, "device": "cuda"}):
        assert chosen.as_begun(other, both) == chosen


def test_auto_is_plain_on_mps(monkeypatch):
    pretend(monkeypatch, processor=["bf16"], mps=True)
    assert auto(convolutions=True) == Execution("mps", bf16=False, channels_last=False, compile=False)


def test_auto_uses_what_cuda_has(monkeypatch):
    pretend(monkeypatch, cuda=True)
    assert auto() == Execution("cuda", bf16=True, channels_last=True, compile=True)
    assert not auto(shape=(64,)).channels_last
    assert not choose_execution("cuda", "auto", "auto", False, IMAGE).channels_last
    pretend(monkeypatch, cuda=True, bf16=False)
    assert not auto().bf16
    for missing in ({"compiler": False}, {"headers": False}, {"triton": False}):
        pretend(monkeypatch, cuda=True, **missing)
        assert not auto().compile


def test_what_is_asked_for_is_taken(monkeypatch):
    pretend(monkeypatch)
    asked = choose_execution("cpu", "bf16", True, True, IMAGE)
    assert asked == Execution("cpu", bf16=True, channels_last=True, compile=True)
    pretend(monkeypatch, cuda=True)
    asked = choose_execution("cuda", "float32", False, False, IMAGE)
    assert asked == Execution("cuda", bf16=False, channels_last=False, compile=False)


def test_channels_last_needs_channels(monkeypatch):
    pretend(monkeypatch)
    with pytest.raises(ValueError, match=r"`channels_last` needs images .* got items with shape \(64,\)"):
        choose_execution("cpu", "auto", True, "auto", (64,))


def test_compilation_needs_a_compiler(monkeypatch):
    pretend(monkeypatch, compiler=False)
    with pytest.raises(ValueError, match=r"`compile` needs a C\+\+ compiler .* not found for cpu"):
        choose_execution("cpu", "auto", "auto", True, IMAGE)
    pretend(monkeypatch, triton=False)  # which only CUDA needs
    assert choose_execution("cpu", "auto", "auto", True, IMAGE).compile
    pretend(monkeypatch, cuda=True, triton=False)
    with pytest.raises(ValueError, match="not found for cuda"):
        choose_execution("cuda", "auto", "auto", True, IMAGE)


def test_global_generators_are_as_before():
    before = torch.random.get_rng_state()
    with choose_execution("cpu", "auto", "auto", "auto", IMAGE).reproducible():
        torch.random.default_generator.manual_seed(1)
        torch.rand(3)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_training_on_cuda_keeps_cudnn(monkeypatch):
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.random, "fork_rng", lambda devices: nullcontext())
    before = torch.backends.cudnn.enabled, torch.backends.cudnn.deterministic
    with Execution("cuda", bf16=True, channels_last=True, compile=False).reproducible():
        assert torch.backends.cudnn.enabled
        assert torch.backends.cudnn.deterministic
        assert not torch.backends.cudnn.benchmark
    assert (torch.backends.cudnn.enabled, torch.backends.cudnn.deterministic) == before
