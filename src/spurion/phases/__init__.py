"""From distances to classes: thresholds, fractions, attractors, the held-out null, capacities."""
