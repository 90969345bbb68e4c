"""What a physicist measures beside scores: noise, resolution and lesions, by putting known signals and noise into k-space."""
