"""Printed programs: a network as NumPy source to read, and as a file that runs without funcnet."""
