"""The report of a study of the circle."""
