"""From a query and the present load to a model, as pure functions."""
