"""Trains, exports, measures and bundles the SSD that the agent ships with; ``python -m tools.demo_model``."""
