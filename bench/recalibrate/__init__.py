"""What repairing a deployed model brings: accuracy before and after, on the demo model and on real ones."""
