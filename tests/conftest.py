"""What every test gets: no network, unchanged torch globals. And reports of words, where asked for."""

import pytest
import torch


@pytest.fixture(autouse=True)
def _unchanged_torch_globals():
    """Fail a test that leaves a global of torch changed."""
    before = _torch_globals()
    yield
    assert _torch_globals() == before


@pytest.fixture
def words_only(monkeypatch):
    """Write reports without their figures, which take ten seconds; `tests/report` looks at those."""
    monkeypatch.setattr("spurion.report.FIGURES", {})


def _torch_globals():
    state = torch.random.get_rng_state()
    return (
        torch.get_default_dtype(),
        torch.is_grad_enabled(),
        torch.are_deterministic_algorithms_enabled(),
        torch.get_num_threads(),
        bytes(state.numpy().tobytes()),
    )
