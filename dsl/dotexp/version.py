"""The versions of dotexp and of its plugin API, alone in a module so that any other may import them."""

__version__ = "0.1.0"

API = 1
"""Version of what dotexp.sdk and the hooks promise plugins; a plugin says `DOTEXP_API = 1` to ask for one."""
