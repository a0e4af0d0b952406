"""The geometry of a study: basins, curvature and energies of every class, at every training size."""
