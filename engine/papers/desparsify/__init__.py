"""DeSparsify (NeurIPS 2024): claims, the cost of one picture, the study that ships."""
