"""Small trained graphs for operations that no model at hand has; see ``make`` for how they came to be."""
