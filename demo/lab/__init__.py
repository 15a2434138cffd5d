"""The Lab: one picture, one model, one attack, seen from inside."""
