"""Rows of the table of layers, one family a file: each defines ``ROWS``."""
