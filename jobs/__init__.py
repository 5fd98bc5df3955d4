"""The durable job engine: states, records, leases, artifacts, events, dispatch. Knows no video."""
