"""Experiments: their spec, the run, its folder, cross-validation, and a starter spec for new data."""
