"""Speed beside peers in one run, and accuracy: `python -m benchmarks`, and the script converse.py."""
