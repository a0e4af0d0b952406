"""The circle, whole: the paper's toy model in closed form, exact and trained, its study, page and verb."""
