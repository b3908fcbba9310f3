"""Sources of data, one format a file."""
