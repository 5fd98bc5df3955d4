"""Input files of a request: received, fetched, checked, and put where the worker finds them."""
