"""The five systems, a folder each: claims, comparison on one picture, study."""
