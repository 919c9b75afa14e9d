"""What a network's inside looks like: units, groups of them, positions, whole layers, and comparisons between layers and networks."""
