"""Training of networks: settings, a run that stops and goes on, weights and their record."""
