"""Floor 0: what every other part speaks. Errors, knobs, random streams, placement and shapes."""
