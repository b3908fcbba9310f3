"""Damaged and forged files, drawn from a seed: a few in every run of the tests, many by hand."""
