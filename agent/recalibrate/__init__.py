"""Recalibration: new activation ranges for a deployed model, from kept frames, proven before use."""
