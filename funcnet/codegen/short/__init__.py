"""Short forms of the library's kernels, for the calls of a printed program that they cover."""
