"""Dynamic int8 quantisation as a running victim, what it costs, and how to bound that cost."""
