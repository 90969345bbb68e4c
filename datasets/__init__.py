"""One file a source of data, each with a data card beside it."""
