"""A run or a bundle as an HTTP service."""
