"""Energy of reconstruction and training: counted, or null with a reason."""
