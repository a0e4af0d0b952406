"""The autoencoder is the identity: on images, on borders, in every channel, and at what samples overshoot."""

import pytest
import torch

from spurion.prompts.study.autoencoder import SCALE, lossless_autoencoder


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 8, 8), (3, 5, 7), (1, 1, 1)])
@torch.no_grad()
def test_latents_are_the_image_and_decode_to_it(shape):
    model = lossless_autoencoder(shape[0])
    images = torch.rand(4, *shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    latents = model.encode(images).latents * model.config.scaling_factor
    assert (latents - images).abs().max() < 1e-6  # one rounding
    decoded = model.decode(latents / model.config.scaling_factor).sample
    # 3 tanh(z / 3) is z (1 - z^2 / 27) to leading order, with z = x / SCALE; four roundings below 2
    assert (decoded - images).abs().max() < 1 / SCALE**2 / 27 + 4 * 2**-23
    assert (decoded - images).abs().max() < 1e-5


@torch.no_grad()
def test_images_at_the_edge_of_the_range_come_back():
    model = lossless_autoencoder(1)
    images = torch.tensor([-1.0, 0.0, 1.0]).reshape(3, 1, 1, 1).expand(3, 1, 4, 4)
    assert (model.decode(model.encode(images).latents).sample - images).abs().max() < 1e-5


@torch.no_grad()
def test_samples_beyond_the_range_stay_beyond_it():
    model = lossless_autoencoder(1)
    far = torch.tensor([-3.0, 3.0]).reshape(2, 1, 1, 1)
    assert (model.decode(far / SCALE).sample - far).abs().max() < 3e-5


def test_it_draws_no_random_numbers():
    before = torch.get_rng_state()
    lossless_autoencoder(1)
    assert torch.equal(torch.get_rng_state(), before)


def test_no_channels_are_refused():
    with pytest.raises(ValueError, match="`channels` must be at least 1, got 0"):
        lossless_autoencoder(0)
