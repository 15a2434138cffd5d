"""The lessons, each a value in a file of its own; `demo/learn/catalog.py` lists them."""
