"""Sampled lines → seconds on the scanner."""
