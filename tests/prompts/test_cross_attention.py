"""Cross-attention against diffusers' own attention scores, layer by layer."""

import pytest
import torch
from torch.nn.functional import interpolate

from prompts.tiny_pipelines import largest, stable, unet
from spurion.core.random import generator
from spurion.prompts import load_pipeline
from spurion.prompts.attention import cross_attention


class Recorder:
    """An attention processor that computes and keeps the scores by diffusers' own methods."""

    def __init__(self, kept):
        self.kept = kept

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, **_):
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query, key, value = (
            attn.head_to_batch_dim(part)
            for part in (attn.to_q(hidden_states), attn.to_k(context), attn.to_v(context))
        )
        scores = attn.get_attention_scores(query, key, attention_mask)
        if encoder_hidden_states is not None:
            self.kept.append(scores.unflatten(0, (-1, attn.heads)).mean(dim=1))
        return attn.to_out[0](attn.batch_to_head_dim(scores @ value))


@pytest.mark.parametrize("kind", [stable, largest])
def test_weights_are_the_mean_of_diffusers_scores(tmp_path, kind):
    pipeline = load_pipeline(kind(tmp_path))
    one = pipeline.encode(["a red square"])[0]
    x_t = torch.randn(3, *pipeline.shape, generator=generator(0, "latents"))
    own = pipeline.attention(one, x_t, 400)
    network, kept = pipeline.question.network, []
    before = pipeline.at(one, 1)(x_t, 400)
    network.set_attn_processor(Recorder(kept))
    with torch.no_grad():
        assert torch.allclose(pipeline.at(one, 1)(x_t, 400), before, atol=1e-4)
    assert {len(scores[0]) for scores in kept} == {32, 8}
    maps = [
        interpolate(
            scores.mT.unflatten(2, (4, 8) if scores.shape[1] == 32 else (2, 4)),
            (4, 8),
            mode="bilinear",
            align_corners=False,
        )
        for scores in kept
    ]
    expected = sum(maps) / len(maps)
    assert own.shape == (3, 32, pipeline.max_tokens)
    assert torch.allclose(own, expected.flatten(2).mT, atol=1e-6)
    assert torch.allclose(own.sum(dim=2), torch.ones(3, 32), atol=1e-5)
    assert own.std(dim=1).max() > 1e-4  # positions differ


def test_the_network_is_left_as_it_was(tmp_path):
    pipeline = load_pipeline(stable(tmp_path))
    one, x_t = pipeline.encode(["red"])[0], torch.zeros(1, *pipeline.shape)
    before = pipeline.at(one, 1)(x_t, 5)
    pipeline.attention(one, x_t, 5)
    modules = list(pipeline.question.network.modules())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in modules)
    assert torch.equal(pipeline.at(one, 1)(x_t, 5), before)


def test_odd_sizes_and_half_precision(tmp_path):
    folder = stable(tmp_path, unet=unet(sample_size=(6, 10), only_cross_attention=False))
    for half in (False, True):
        pipeline = load_pipeline(folder, half=half)
        own = pipeline.attention(pipeline.encode([""])[0], torch.zeros(1, 4, 6, 10), 5)
        assert own.dtype == torch.float32
        assert own.shape == (1, 60, pipeline.max_tokens)
        assert torch.allclose(own.sum(dim=2), torch.ones(1, 60), atol=1e-5)


def test_a_network_without_cross_attention_is_refused(tmp_path):
    blocks = {"down_block_types": ("DownBlock2D",) * 2, "up_block_types": ("UpBlock2D",) * 2}
    folder = stable(tmp_path, unet=unet(mid_block_type=None, **blocks))
    pipeline = load_pipeline(folder)
    with pytest.raises(ValueError, match="The network has no cross-attention"):
        cross_attention(pipeline.question, pipeline.encode([""])[0], torch.zeros(1, *pipeline.shape), 5)
