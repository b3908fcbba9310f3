"""Experiments: the spec of a whole training, its run, its folder, cross-validation, a first spec for new data."""
