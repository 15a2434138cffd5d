"""The second room of Why: whether a softmax hides the gradient that an attack follows."""
