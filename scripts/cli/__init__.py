"""``wanserve``, the command line: one group, a file for each family of commands."""
