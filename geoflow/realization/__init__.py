"""R back to a map: the converse theorem, and what is known of each realization."""
