"""The Why page: what TGR does to gradients, its two effects told apart on one picture."""
