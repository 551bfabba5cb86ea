"""edge-tools: what runs on a desk. May import ``agent``, never the other way."""
