"""R(w): Legendre functions, given or induced by a map."""
