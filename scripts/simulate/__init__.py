"""``wanserve simulate``: what a fleet would make of a load, before it is bought."""
