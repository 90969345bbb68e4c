"""Acquisitions, sampling, scan time, metrics, energy, claims, tracking and the command line."""
