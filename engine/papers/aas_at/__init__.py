"""What adversarial training buys, what it costs, and whether the gradient that judges it can be trusted."""
