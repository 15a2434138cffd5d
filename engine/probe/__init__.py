"""Probes read what a pass recorded and return frozen results on the CPU; they change nothing."""
