"""The page: what a visitor sees and does. All tensor work is the engine's."""
