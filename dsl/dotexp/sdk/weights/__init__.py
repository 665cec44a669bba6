"""Weights from files, for plugins with bodies: read without running code, and held against the model by name.

While a plan inspects weights (`inspection`), `read_tensors` opens files for their headers alone, and `fill` compares
names and shapes; a body whose published weights are not on the machine notes them in `Inspection.missing`.
"""

from dotexp.sdk.weights.errors import first_line, unusable
from dotexp.sdk.weights.fitting import fill
from dotexp.sdk.weights.inspecting import Inspection, inspect_weights, inspection
from dotexp.sdk.weights.reading import Tensors, is_file, read_tensors

__all__ = [
    "Inspection",
    "Tensors",
    "fill",
    "first_line",
    "inspect_weights",
    "inspection",
    "is_file",
    "read_tensors",
    "unusable",
]
