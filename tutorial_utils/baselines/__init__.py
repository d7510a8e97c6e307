"""The trained weights that the package carries."""
