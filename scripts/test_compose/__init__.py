"""The containers, really built, run and looked at."""
