"""The pipelines themselves: the only place in the project that imports torch."""
