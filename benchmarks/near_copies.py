"""How `l2`, `st-lpips-*` and `features` see near-copies: the numbers of docs/distances.md.

    python benchmarks/near_copies.py --data mnist-5k
    python benchmarks/near_copies.py --data emoji
    python benchmarks/near_copies.py --distances st-lpips-vgg --train 300 --held-out 200 --copies 60

Training images are changed in ways that leave a person no doubt where they come from. Each change is seen by
three numbers:

- ratio: the median distance of a changed image to its original, over the median distance of a held-out image
  to its nearest training image, both Euclidean (for LPIPS the square root). Well below 1 is a copy; at 1 it
  could be any new image.
- back: the share of changed images whose nearest training image is their original.
- called: the share nearer to a training image than 99 % of the held-out images are: what a rule at 1 % calls
  copied.

`features` are the last outputs of the shift-tolerant AlexNet, averaged over all places: as in FID, what is in
an image rather than where.
"""

import argparse
import json
import time
from pathlib import Path

import torch
from torch.nn.functional import conv2d, interpolate, pad

from spurion.core.random import generator
from spurion.data import load_split
from spurion.neighbors import Features, load_distance, nearest
from spurion.neighbors.distances.distance import subtracted

DISTANCES = ("l2", "st-lpips-alex", "features")


def moved(x, pixels):
    """To the right; what comes in repeats the border."""
    return pad(x, (pixels, 0, 0, 0), mode="replicate")[..., : x.shape[-1]]


def cropped(x, pixels):
    """Without its border, and enlarged to the former size."""
    inside = x[..., pixels:-pixels, pixels:-pixels]
    return interpolate(inside, size=x.shape[-2:], mode="bilinear", antialias=True)


def blurred(x):
    """By the filter (1, 2, 1) / 4 along both sides; the border is repeated."""
    kernel = torch.tensor([1.0, 2.0, 1.0]).outer(torch.tensor([1.0, 2.0, 1.0])) / 16
    planes = pad(x, (1, 1, 1, 1), mode="replicate").flatten(0, 1)[:, None]
    return conv2d(planes, kernel[None, None]).reshape(x.shape)


def noisy(x, scale):
    return x + scale * torch.randn(x.shape, generator=generator(0, "near-copies"))


CHANGES = {
    "none": lambda x: x,
    "moved by 1 pixel": lambda x: moved(x, 1),
    "moved by 2 pixels": lambda x: moved(x, 2),
    "brighter by 0.1": lambda x: x + 0.1,
    "brighter by 0.4": lambda x: x + 0.4,
    "contrast halved": lambda x: x / 2,
    "noise of 0.1": lambda x: noisy(x, 0.1),
    "noise of 0.4": lambda x: noisy(x, 0.4),
    "blurred": blurred,
    "cropped by 1 pixel": lambda x: cropped(x, 1),
    "cropped by 2 pixels": lambda x: cropped(x, 2),
    "mirrored": lambda x: x.flip(-1),
}
"""Values are in [-1, 1] before and are clipped to that after."""


def pooled_features():
    """The last tap of the shift-tolerant AlexNet, averaged over places."""
    from spurion.neighbors.lpips.embedding import SCALE, SHIFT
    from spurion.neighbors.lpips.packaged import load_packaged
    from spurion.neighbors.lpips.shift_tolerant import SHIFT_TOLERANT

    network = SHIFT_TOLERANT["alex"].build()
    network.load_state_dict(load_packaged("alex").features)
    shift, scale = (torch.tensor(each)[:, None, None] for each in (SHIFT, SCALE))

    @torch.no_grad()
    def embed(images):
        return network((images.expand(-1, 3, -1, -1) - shift) / scale).mean(dim=(2, 3))

    return Features(embed, "pooled AlexNet")


def table(name, train, held_out, count):
    """One row for every change."""
    distance = pooled_features() if name == "features" else load_distance(name).kept()
    real = nearest(held_out, train, distance=distance).distances[:, 0]
    originals = distance.embed(train[:count])
    spacing, threshold = float(distance.radius(real).median()), float(real.quantile(0.01))
    for change, apply in CHANGES.items():
        copies = apply(train[:count]).clamp(-1, 1)
        found = nearest(copies, train, distance=distance)
        own = subtracted(distance.embed(copies), originals)
        yield {
            "distance": name,
            "change": change,
            "ratio": float(own.median()) / spacing,
            "back": float((found.indices[:, 0] == torch.arange(count)).double().mean()),
            "called": float((found.distances[:, 0] <= threshold).double().mean()),
        }


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="mnist-5k", help="a built-in set, of 21 x 21 pixels or more")
    parser.add_argument("--distances", nargs="+", default=DISTANCES)
    parser.add_argument("--train", type=int, default=1000)
    parser.add_argument("--held-out", type=int, default=500)
    parser.add_argument("--copies", type=int, default=200)
    parser.add_argument("--out", type=Path, help="where to write the JSON")
    options = parser.parse_args()
    split = load_split(options.data)
    train, held_out = split.train.images[: options.train], split.holdout.images[: options.held_out]
    print(f"{options.data}: {len(train)} training, {len(held_out)} held-out images, {options.copies} changed")
    rows = []
    for name in options.distances:
        start = time.process_time()
        rows += table(name, train, held_out, options.copies)
        print(f"\n| {name}, {time.process_time() - start:.0f} s | ratio | back | called |")
        for row in (row for row in rows if row["distance"] == name):
            print(
                f"| {row['change']} | {row['ratio']:.2f} | {row['back']:.2f} | {row['called']:.2f} |",
                flush=True,
            )
    if options.out:
        options.out.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
