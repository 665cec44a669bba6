"""The engine: everything that runs a plan. Its modules need torch, all but `listener`."""
