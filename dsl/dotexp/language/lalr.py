"""The parser that Lark makes of experiment.lark, and its table, saved beside the grammar.

Making the table takes longer than everything else that `check` does, so it is kept as JSON (Lark's own way is a pickle)
and used where it was made of this very grammar by this very version of Lark: `python -m dotexp.language.lalr` writes
it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import lark
from lark import Lark, Token, Transformer
from lark.common import LexerConf
from lark.grammar import Rule
from lark.lexer import Lexer, TerminalDef

STARTS = ("start", "only_value", "only_freeze", "only_listing")
GRAMMAR = "experiment.lark"
TABLE = "experiment.json"
_PAIRS = "\0"
_SHIFT = 0
"""What a shift is called in a serialized table; 1 is a reduction."""

_FOLDER = Path(__file__).parent


class NoLexer(Lexer):
    """Lark is handed lexemes one at a time: lexing is lossless and never stops, which its own lexers are not."""

    def __init__(self, _: LexerConf) -> None:
        pass

    def lex(self, lexer_state: Any, parser_state: Any) -> Iterator[Token]:
        """Yield nothing."""
        return iter(())


def load_parser(transformer: Transformer[Any, Any]) -> Lark:
    """Make the parser of the saved table, or of the grammar where the table is of another grammar or Lark."""
    try:
        saved = json.loads(_FOLDER.joinpath(TABLE).read_text(encoding="utf-8"), object_hook=_decoded)
    except (OSError, ValueError):
        saved = {}
    if saved.get("made_of") != made_of():
        return build_parser(transformer)
    table = saved["table"]
    table["data"]["options"]["lexer"] = NoLexer
    table["data"]["parser"]["lexer_conf"]["lexer_type"] = NoLexer
    load: Callable[..., Lark] = Lark._load_from_dict
    return load(table["data"], table["memo"], transformer=transformer)


def build_parser(transformer: Transformer[Any, Any] | None = None) -> Lark:
    """Make the parser of the grammar."""
    return Lark.open_from_package(
        "dotexp.language",
        GRAMMAR,
        parser="lalr",
        lexer=NoLexer,
        start=list(STARTS),
        transformer=transformer,
        keep_all_tokens=True,
        maybe_placeholders=False,
    )


def made_of() -> dict[str, str]:
    """Lark's version and the grammar's checksum: what a table belongs to."""
    grammar = _FOLDER.joinpath(GRAMMAR).read_bytes()
    return {"lark": lark.__version__, "grammar": f"{len(grammar)} bytes, CRC {crc32(grammar):08x}"}


def table_text(parser: Lark) -> str:
    """Write a parser's table as JSON, the same text for the same grammar."""
    data, memo = parser.memo_serialize([TerminalDef, Rule])
    options = {**data["options"], "lexer": None, "transformer": None, "import_paths": []}
    inner = {
        **data["parser"],
        "lexer_conf": {**data["parser"]["lexer_conf"], "lexer_type": None},
        "parser": _numbered(data["parser"]["parser"]),
    }
    table = {"data": {**data, "options": options, "parser": inner}, "memo": memo}
    return json.dumps({"made_of": made_of(), "table": _encoded(table)}, separators=(",", ":")) + "\n"


def _numbered(table: dict[str, Any]) -> dict[str, Any]:
    """Number tokens by name and states as a walk from the start meets them; Lark's own numbers follow its sets."""
    names: dict[int, str] = table["tokens"]
    tokens = {name: number for number, name in enumerate(sorted(names.values()))}
    starts = dict(sorted(table["start_states"].items()))
    numbers = {state: number for number, state in enumerate(starts.values())}
    states: dict[int, dict[int, Any]] = {}
    queue = list(numbers)
    for state in queue:  # grows while it is walked
        actions = states[numbers[state]] = {}
        for name, (action, target) in sorted((names[token], each) for token, each in table["states"][state].items()):
            if action == _SHIFT and target not in numbers:
                numbers[target] = len(numbers)
                queue.append(target)
            actions[tokens[name]] = (action, numbers[target] if action == _SHIFT else target)
    return {
        "tokens": {number: name for name, number in tokens.items()},
        "states": states,
        "start_states": {name: numbers[state] for name, state in starts.items()},
        "end_states": {name: numbers[state] for name, state in sorted(table["end_states"].items())},
    }


def _encoded(value: Any) -> Any:
    if isinstance(value, dict):
        if all(isinstance(key, str) for key in value):
            return {key: _encoded(item) for key, item in value.items()}
        return {_PAIRS: [[key, _encoded(item)] for key, item in value.items()]}
    return [_encoded(item) for item in value] if isinstance(value, list | tuple) else value


def _decoded(value: dict[str, Any]) -> Any:
    """Turn what stands for a mapping whose keys are no text back into it."""
    return dict(value[_PAIRS]) if _PAIRS in value else value


if __name__ == "__main__":
    import sys

    sys.stdout.write(table_text(build_parser()))
