"""One file a reconstruction method; see CONTRIBUTING.md for how to add one."""
