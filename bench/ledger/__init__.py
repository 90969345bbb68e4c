"""Energy per exam: what the shorter scan saves, less what reconstruction and training cost."""
