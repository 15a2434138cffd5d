"""Robustness Tokens: what trained tokens in a ViT's sequence withstand, and from whom."""
