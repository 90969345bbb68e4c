"""The page that a sweep is decided from, and the pictures on it; everything is read from the tracking store."""
