"""Hydra configuration groups (YAML) and their schemas; a package, so that `pkg://halfscan.configs` resolves."""
