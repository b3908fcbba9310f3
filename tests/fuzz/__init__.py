"""Fuzzers: seeded and small in the suite, by hand as large as one likes (``python -m tests.fuzz.specs --count 40000``)."""
