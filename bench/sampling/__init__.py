"""Which k-space samples are kept: one file a pattern; `Mask` is what every pattern draws."""
