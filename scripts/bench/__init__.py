"""Measurements beside plain alternatives, in one run: ``python -m scripts.bench [NAME …]``."""
