"""How often the drift detector is wrong, and how late it is right: ``python -m bench drift``."""
