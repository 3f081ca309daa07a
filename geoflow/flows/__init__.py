"""Motion in x, w and mu."""
