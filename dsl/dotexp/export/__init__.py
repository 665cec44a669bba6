"""A finished run as something to use: bundles, exported programs, and predictors of both."""
