"""AAS: when the softmax hides the gradient."""
