"""Tables of text and Parquet, read with Polars in blocks of rows: bounded, digested, every row with its place.

`open_table` streams the columns that are asked for; `read_table` holds a whole table in memory.
"""

from dotexp.sdk.tables.columns import Block, Column, HeaderRule, Table, TextFormat, find_column
from dotexp.sdk.tables.faults import RowFaults, refuse_rows, skipped_rows
from dotexp.sdk.tables.files import Digest, digest_file, is_compressed, is_parquet, open_file
from dotexp.sdk.tables.whole import WholeTable, open_table, read_lines, read_table

__all__ = [
    "Block",
    "Column",
    "Digest",
    "HeaderRule",
    "RowFaults",
    "Table",
    "TextFormat",
    "WholeTable",
    "digest_file",
    "find_column",
    "is_compressed",
    "is_parquet",
    "open_file",
    "open_table",
    "read_lines",
    "read_table",
    "refuse_rows",
    "skipped_rows",
]
