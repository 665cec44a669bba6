"""The version of dotexp, alone in a module so that any other may import it."""

__version__ = "0.1.0"
