"""The gateway: parse, call, shape. Holds no state and imports no torch."""
