"""Fuzzers: seeded and small in the suite; by hand as large as one likes, as each module says."""
