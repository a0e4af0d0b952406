"""The least geometry of a study that still measures everything: a fraction of a second instead of ten."""

FEW = (
    "geometry.points=8",
    "geometry.least=6",
    "geometry.basins={draws: 3, levels: 5, steps: 4}",
    "geometry.scan=3",
    "geometry.scan_points=4",
    "geometry.energy_points=6",
    "geometry.references=1",
    "geometry.probes=1",
    "flow.steps=3",
)
"""Overrides of any recipe."""
