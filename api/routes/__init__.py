"""The endpoints: parse, call, shape."""
