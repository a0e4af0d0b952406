"""What `search.py` compares: images, and the usual ways to search them."""

import torch


def images(count, dim, seed, device="cpu"):
    """Bytes whose variance falls off over their coordinates' frequencies, as in photographs."""
    generator = torch.Generator().manual_seed(seed)
    kinds = min(dim, 64)
    basis = torch.randn(kinds, dim, generator=torch.Generator().manual_seed(0))
    basis *= (1 + torch.arange(kinds)[:, None]) ** -0.5
    values = 128 + 35 * torch.randn(count, kinds, generator=generator) @ basis
    for rows in values.split(1024):
        rows += 12 * torch.randn(rows.shape, generator=generator)
    return values.round_().clamp_(0, 255).div_(127.5).sub_(1).to(device)


def noisy(values):
    generator = torch.Generator().manual_seed(7)
    out = values.cpu().clone()
    for rows in out.split(1024):
        rows += 1e-3 * torch.randn(rows.shape, generator=generator)
    return out.to(values.device)


def torch_blocks(x, y):
    """The usual block search: single precision all the way, nothing recomputed."""
    squares = y.square().sum(1)
    parts = [(squares - 2 * rows @ y.T).min(1) for rows in x.split(max(1, 2**24 // len(y)))]
    return torch.cat([part.indices for part in parts])


def faiss_flat(x, y):
    import faiss

    index = faiss.IndexFlatL2(x.shape[1])
    index.add(y.numpy())
    return torch.from_numpy(index.search(x.numpy(), 1)[1][:, 0])


def scikit_learn(x, y):
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(y.numpy())
    return torch.from_numpy(search.kneighbors(x.numpy(), return_distance=False)[:, 0])


def naive(x, y):
    """One subtraction of everything from everything, in blocks that fit."""
    step = max(1, 2**27 // y.numel())
    return torch.cat([(rows[:, None] - y).square_().sum(2).argmin(1) for rows in x.split(step)])
