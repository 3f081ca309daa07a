"""The geometry of hess R."""
