import hashlib

import torch

from spurion.core.random import derive_seed, generator


def test_streams_are_reproducible_and_distinct():
    a = torch.randn(4, generator=generator(0, "x", 1))
    assert torch.equal(a, torch.randn(4, generator=generator(0, "x", 1)))
    assert not torch.equal(a, torch.randn(4, generator=generator(0, "x", 2)))
    assert not torch.equal(a, torch.randn(4, generator=generator(1, "x", 1)))
    assert derive_seed(0, "1") != derive_seed(0, 1)


def test_derived_seeds_stay_what_they_are():
    # A change here would change the numbers of every study.
    expected = int.from_bytes(hashlib.sha256(b'[0, "sample", 17]').digest()[:8], "big") // 2
    assert derive_seed(0, "sample", 17) == expected
    assert 0 <= expected < 2**63
