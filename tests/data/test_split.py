import pytest
import torch

from spurion.data import PAPER_SEED, ImageSet, hold_out, load_split, nested_order


def ramp(n):
    return ImageSet(torch.linspace(-1, 1, n).reshape(n, 1, 1, 1), "ramp", tuple(f"{i}.png" for i in range(n)))


def test_order_is_that_of_random_split_in_the_papers_code():
    whole = range(50)
    part, _ = torch.utils.data.random_split(whole, [7, 43], generator=torch.Generator().manual_seed(3407))
    assert list(part.indices) == nested_order(50, PAPER_SEED)[:7].tolist()


def test_order_is_a_permutation_that_depends_on_the_seed():
    order = nested_order(1000, 0)
    assert torch.equal(order.sort().values, torch.arange(1000))
    assert torch.equal(order, nested_order(1000, 0))
    assert not torch.equal(order, nested_order(1000, 1))
    assert nested_order(1, 0).tolist() == [0]


def test_order_of_nothing_is_refused():
    with pytest.raises(ValueError, match="`n` must be at least 1, got 0"):
        nested_order(0, 0)


def test_held_out_images_are_disjoint_in_order_and_always_the_same():
    images = ramp(23)
    split = hold_out(images, 0.2)
    assert (len(split.train), len(split.holdout)) == (18, 5)
    both = split.train.item_names + split.holdout.item_names
    assert sorted(both) == sorted(images.item_names)
    for part in (split.train.flat(), split.holdout.flat()):
        assert torch.equal(part, part.sort(0).values)
    assert (
        split.holdout.item_names
        == hold_out(images, 0.2).holdout.item_names
        == ("3.png", "8.png", "15.png", "16.png", "19.png")
    )
    assert split.holdout.name == "ramp (held out)"


@pytest.mark.parametrize("fraction", [0, 0.04, 0.96, 1, -0.5, 2, float("nan")])
def test_a_fraction_that_empties_a_side_is_refused(fraction):
    with pytest.raises(ValueError, match=rf"`holdout` must be .* got {fraction:g} of 10 images"):
        hold_out(ramp(10), fraction)


def test_load_split_holds_out_a_fraction_or_nothing_of_a_users_images():
    images = ramp(10)
    assert load_split(images).holdout is None
    assert load_split(images).train is images
    assert len(load_split(images, holdout=0.3).holdout) == 3
    assert load_split(images, holdout=0.5, resize=2).holdout.shape == (1, 2, 2)


def test_a_built_in_set_keeps_its_own_held_out_part():
    with pytest.raises(ValueError, match="`holdout` must be None for the built-in set digits"):
        load_split("digits", holdout=0.2)
    split = load_split("digits", resize=4)
    assert split.train.shape == split.holdout.shape == (1, 4, 4)
    assert load_split("digits:holdout").train.sha256 == load_split("digits").holdout.sha256
