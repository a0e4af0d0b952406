"""The study of the circle: the paper's toy model, exact and trained."""
