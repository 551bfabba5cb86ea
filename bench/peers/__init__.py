"""The same model on the same frames by other people's detectors, each in its own environment."""
