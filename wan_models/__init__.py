"""The five Wan 2.2 tasks: catalog, requests, registry, pipelines. Knows no queue."""
