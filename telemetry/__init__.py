"""What every process tells its operators: log lines and traces. Knows nothing of jobs or videos."""
