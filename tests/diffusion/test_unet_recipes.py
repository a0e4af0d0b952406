import pytest
import torch

from spurion.core.config import build_config
from spurion.diffusion.denoisers.unet import PAPER_UNETS, UNetConfig
from spurion.diffusion.schedule import DDPMSchedule

MILLIONS = {
    "mnist-128": 24.5,
    "cifar10-64": 8.9,
    "cifar10-96": 20.1,
    "cifar10-128": 35.7,
    "lsun-church-64": 27.4,
    "lsun-church-96": 61.7,
    "lsun-church-128": 109.7,
}
SHAPES = {"mnist": (1, 28, 28), "cifar10": (3, 32, 32), "lsun-church": (3, 64, 64)}


def on_meta(config, shape):
    with torch.device("meta"):
        return config.network(shape)


@pytest.mark.parametrize("name", MILLIONS)
def test_paper_unets_have_the_printed_size(name):
    network = on_meta(PAPER_UNETS[name], SHAPES[name.rsplit("-", 1)[0]])
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count // 100_000 == round(10 * MILLIONS[name])  # the table cuts after one digit, it does not round
    assert PAPER_UNETS.keys() == MILLIONS.keys()


def test_attention_is_at_16_pixels_and_in_the_middle():
    network = on_meta(PAPER_UNETS["cifar10-64"], SHAPES["cifar10"])
    assert list(network.config.down_block_types) == [
        "DownBlock2D",
        "AttnDownBlock2D",
        "DownBlock2D",
        "DownBlock2D",
    ]
    assert list(network.config.up_block_types) == ["UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"]
    assert [layer.heads for layer in network.modules() if hasattr(layer, "to_q")] == [1] * 6
    small = on_meta(PAPER_UNETS["mnist-128"], SHAPES["mnist"])
    assert sum(hasattr(layer, "to_q") for layer in small.modules()) == 1


def test_the_rest_of_the_paper_network():
    network = on_meta(PAPER_UNETS["mnist-128"], SHAPES["mnist"])
    norms = [layer for layer in network.modules() if isinstance(layer, torch.nn.GroupNorm)]
    assert {layer.num_groups for layer in norms} == {32}
    assert {layer.p for layer in network.modules() if isinstance(layer, torch.nn.Dropout)} >= {0.1}
    assert network.config.layers_per_block == 2
    assert PAPER_UNETS["lsun-church-96"].dropout == 0
    assert network.config.act_fn == "silu"


def test_fields_reach_the_network():
    config = UNetConfig(channels=8, multipliers=(1, 3), blocks=1, attention=(8,), groups=4, dropout=0.3)
    generator = torch.Generator().manual_seed(0)
    denoiser = config.build(torch.zeros(1, 2, 8, 8), DDPMSchedule(50), generator=generator)
    found = denoiser.network.config
    assert list(found.block_out_channels) == [8, 24]
    assert (found.in_channels, found.out_channels, found.sample_size) == (2, 2, 8)
    assert (found.layers_per_block, found.norm_num_groups, found.dropout) == (1, 4, 0.3)
    assert list(found.down_block_types) == ["AttnDownBlock2D", "DownBlock2D"]
    assert (denoiser.shape, denoiser.prediction) == ((2, 8, 8), "epsilon")


@pytest.mark.parametrize("shape", [(1, 8, 4), (1, 6, 6), (8, 8)])
def test_images_must_halve(shape):
    config = UNetConfig(multipliers=(1, 2, 2))
    with pytest.raises(
        ValueError, match=r"2 halvings needs square images \(C, H, H\) with H a multiple of 4"
    ):
        config.network(shape)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"channels": 40}, "`channels` must be a multiple of 32 `groups`, got 40"),
        ({"multipliers": []}, "`multipliers`: tuple should have at least 1 item"),
        ({"dropout": 1.0}, "`dropout`: input should be less than 1, got 1.0"),
        ({"prediction": "noise"}, "`prediction`: input should be 'epsilon', 'sample' or 'v_prediction'"),
        ({"heads": 4}, "there is no field `heads`"),
    ],
)
def test_bad_unet_configurations(values, message):
    with pytest.raises(ValueError, match=message):
        build_config(UNetConfig, values)
