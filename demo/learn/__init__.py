"""Learn: lessons that drive the other pages, a class that takes one together, and what is claimed."""
