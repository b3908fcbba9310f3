"""The report of a run, and of several beside one another, as one HTML page."""
