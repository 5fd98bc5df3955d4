"""What real shapes cost on a GPU, with random weights: plain diffusers beside every way that we offer."""
