"""Contrasts of sets, and copies at the contrast that they have."""

import pytest
import torch

from spurion import audit
from spurion.audits.claims import of_kind
from spurion.core.random import generator
from spurion.neighbors import nearest
from spurion.phases.contrast import contrast


def images(count, name, dim=48):
    random = generator(0, "contrast", name)
    return (0.3 * torch.randn(count, 1, 1, dim, generator=random)).clamp(-1, 1)


def found(train, samples):
    return contrast(train, samples, nearest(samples, train).indices[:, 0])


def test_the_ratio_is_that_of_the_scale():
    train, samples = images(300, "train"), images(300, "samples")
    same, faint = found(train, samples), found(train, 0.8 * samples)
    assert faint.samples == pytest.approx(0.8 * same.samples, rel=1e-6)
    assert same.samples == pytest.approx(float(samples.flatten(1).double().std(dim=1, correction=0).median()))
    assert same.ratio == pytest.approx(1, abs=0.05)
    assert same.p_value > 0.001
    assert faint.p_value < 1e-9
    assert faint.alike == 0


def test_copies_are_alike_at_their_contrast():
    train = images(100, "train")
    noise = torch.randn(10, 1, 1, 48, generator=generator(0, "noise"))
    near = train[:10] + 0.06 * noise  # the difference is 0.06 where the contrast is 0.3: 4 % of its square
    far = train[:10] + 0.16 * noise  # 22 % of it
    assert found(train, near).alike == 10
    assert found(train, far).alike == 0


def test_constant_and_single_images():
    flat = torch.zeros(3, 1, 2, 2)
    same = found(flat, flat)
    assert (same.ratio, same.samples, same.alike) == (1.0, 0.0, 3)
    assert found(images(1, "one"), images(2, "two")).alike == 0


def test_faint_samples_never_fail_an_audit_and_copies_among_them_do():
    """48 coordinates: the threshold is steep, so that faint samples fall below it one and all."""
    train, honest = images(400, "train"), 0.8 * images(400, "honest")
    faint = audit(train, honest, fail_if="memorized > 0.02")
    assert faint.verdict.outcome != "fail"
    assert "80% of the contrast" in of_kind(faint.claims, "less_contrast")[0].sentence
    copied = torch.cat([0.97 * train[:100], honest[:300]])
    assert audit(train, copied, fail_if="memorized > 0.02").verdict.outcome == "fail"
    fair = audit(train, images(400, "fair"), fail_if="memorized > 0.02")
    assert not of_kind(fair.claims, "less_contrast")
