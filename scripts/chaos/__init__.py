"""``make chaos``: a service, a monkey that kills and pauses what it finds, and the account."""
