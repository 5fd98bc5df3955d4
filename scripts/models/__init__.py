"""Installing models from the Hugging Face hub."""
