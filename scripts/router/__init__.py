"""Training and measuring the classifier of ``routing``."""
