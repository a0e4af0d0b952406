"""The geometry of a study: readings by training size, and where the classes are in order."""
