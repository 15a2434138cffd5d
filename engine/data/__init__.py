"""Pictures: the bundled gallery, safe decoding of a visitor's own, labelled folders (floor 1)."""
