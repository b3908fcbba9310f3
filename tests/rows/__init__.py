"""Rows of the table of layers, a file for each family, which defines ``ROWS``."""

FAMILIES = (
    "core",
    "activations",
    "attention",
    "basic",
    "combinators",
    "convolution",
    "ensemble",
    "pooling",
    "recurrent",
)
