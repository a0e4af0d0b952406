"""Attention in float32 inside a U-Net that computes in bf16."""

import pytest
import torch
from diffusers.models.attention_processor import Attention, AttnProcessor2_0

from spurion.core.random import generator
from spurion.diffusion.denoisers.unet import UNetConfig
from spurion.diffusion.device import Execution
from spurion.diffusion.half_attention import Float32Attention, attend_in_float32
from spurion.diffusion.learner import Learner
from spurion.diffusion.schedule import DDPMSchedule
from spurion.diffusion.training_config import TrainingConfig

CONFIG = UNetConfig(channels=8, multipliers=(1, 2), blocks=1, groups=4, attention=(8,), dropout=0.0)


def normal(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(len(shape)))


X = normal(3, 1, 8, 8)


def fresh():
    return CONFIG.build(X, DDPMSchedule(), generator=generator(0, "weights"))


def attention():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Attention(8, heads=1, dim_head=8, norm_num_groups=4, residual_connection=True, bias=True)


def test_it_is_exact_where_everything_around_is_rounded():
    block, x = attention(), normal(2, 8, 4, 4)
    exact = block(x)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = block(x)
    attend_in_float32(block)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(block(x), exact)
        assert not torch.equal(rounded, exact)
        half = block(x.bfloat16())
    assert half.dtype == torch.bfloat16
    assert torch.equal(half, block(x.bfloat16().float()).bfloat16())


def test_channels_come_first_again():
    block, x = attention(), normal(2, 8, 4, 4)
    assert not block(x).is_contiguous()
    attend_in_float32(block)
    assert block(x).is_contiguous()


def test_other_words_are_attended_to():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        block = Attention(8, cross_attention_dim=6, heads=2, dim_head=4)
    x, words = normal(2, 5, 8), normal(2, 3, 6)
    exact = block(x, encoder_hidden_states=words)
    attend_in_float32(block)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(block(x, encoder_hidden_states=words), exact)
        assert block(x.bfloat16(), encoder_hidden_states=words.bfloat16()).dtype == torch.bfloat16


@pytest.mark.parametrize(("bf16", "kind"), [(True, Float32Attention), (False, AttnProcessor2_0)])
def test_a_training_in_bf16_has_it(bf16, kind):
    denoiser = fresh()
    execution = Execution("cpu", bf16=bf16, channels_last=False, compile=False)
    Learner(denoiser, TrainingConfig(device="cpu"), execution, seed=0)
    blocks = [module for module in denoiser.network.modules() if isinstance(module, Attention)]
    assert len(blocks) > 1
    assert {type(block.processor) for block in blocks} == {kind}
    assert denoiser.denoise(X, torch.tensor([1, 2, 3])).isfinite().all()


def test_a_processor_of_another_kind_stays():
    class Own(AttnProcessor2_0):
        pass

    block = attention()
    block.set_processor(Own())
    attend_in_float32(block)
    assert type(block.processor) is Own
