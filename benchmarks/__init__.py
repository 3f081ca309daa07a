"""Speed beside peers in one run, and accuracy: `python -m benchmarks`, and the script converse.py."""

import os

# some themes import geomstats before geoflow, which chooses the backend
os.environ.setdefault("GEOMSTATS_BACKEND", "autograd")
