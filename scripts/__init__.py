"""Command-line helpers. They may import any room; no room imports them."""
