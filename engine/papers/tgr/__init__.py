"""TGR (CVPR 2023): claims, variants on one picture, ablation."""
