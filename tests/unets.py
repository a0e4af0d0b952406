"""Tiny U-Nets of every kind that diffusers has, with random weights, and their Jacobians by brute force."""

import torch
from diffusers import UNet2DModel

from spurion.core.random import generator
from spurion.diffusion.denoisers.network import NetworkDenoiser
from spurion.diffusion.schedule import DDPMSchedule

PLAIN = {"down_block_types": ("DownBlock2D",) * 2, "up_block_types": ("UpBlock2D",) * 2}
UNETS = {
    "no attention": {"add_attention": False},
    "no middle": {"mid_block_type": None},
    "attention in the middle": {},
    "attention": {
        "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
        "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
    },
    "one head": {"attention_head_dim": None},
    "color": {"in_channels": 3, "out_channels": 3},
    "6 x 10": {"sample_size": (6, 10)},
    "scale and shift": {"resnet_time_scale_shift": "scale_shift"},
    "residual sampling blocks": {
        "down_block_types": ("ResnetDownsampleBlock2D",) * 2,
        "up_block_types": ("ResnetUpsampleBlock2D",) * 2,
    },
    "residual sampling": {
        "down_block_types": ("AttnDownBlock2D",) * 2,
        "up_block_types": ("AttnUpBlock2D",) * 2,
        "downsample_type": "resnet",
        "upsample_type": "resnet",
    },
    "skip blocks": {
        "in_channels": 3,
        "out_channels": 3,
        "sample_size": 4,
        "block_out_channels": (32, 32),
        "down_block_types": ("SkipDownBlock2D", "AttnSkipDownBlock2D"),
        "up_block_types": ("AttnSkipUpBlock2D", "SkipUpBlock2D"),
    },
    "k blocks": {
        "block_out_channels": (32, 32),
        "down_block_types": ("KDownBlock2D",) * 2,
        "up_block_types": ("KUpBlock2D",) * 2,
    },
    "fourier times": {"time_embedding_type": "fourier"},
    "learned times": {"time_embedding_type": "learned", "num_train_timesteps": 1000},
    "gelu": {"act_fn": "gelu"},
    "mish": {"act_fn": "mish"},
    "normalized attention": {"attn_norm_num_groups": 2},
}
"""What makes each kind, as arguments of `UNet2DModel`."""


def unet(kind, dtype=torch.float64):
    """A U-Net with random weights in every layer."""
    config = {
        "sample_size": 8,
        "in_channels": 1,
        "out_channels": 1,
        "block_out_channels": (8, 8),
        "norm_num_groups": 4,
        "layers_per_block": 1,
        "attention_head_dim": 4,
        **PLAIN,
        **UNETS[kind],
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = UNet2DModel(**config)
    random = generator(0, "unet", kind)
    for parameter in network.parameters():
        if parameter.ndim > 1:
            parameter.data.normal_(0, parameter[0].numel() ** -0.5, generator=random)
        else:
            parameter.data.add_(0.1 * torch.randn(parameter.shape, generator=random))
    size = config["sample_size"]
    shape = (config["in_channels"], *(size if isinstance(size, tuple) else (size, size)))
    torch.nn.Module.to(network, dtype=dtype)
    return NetworkDenoiser(network, DDPMSchedule(), shape)


def jacobian(function, x):
    """The Jacobian of a function of items, one backward pass for each coordinate, with shape (n, D, D)."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        out = function(x).flatten(1)
        rows = [torch.autograd.grad(out[:, i].sum(), x, retain_graph=True)[0] for i in range(out.shape[1])]
    return torch.stack([row.flatten(1) for row in rows], dim=1)
