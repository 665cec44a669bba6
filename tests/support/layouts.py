"""Spec text laid out anyhow: any white space and comments between its words and signs."""

from __future__ import annotations

import re
from random import Random

from dotexp.language.lexer import TRIVIA, tokenise
from dotexp.language.source import source_from_text


def comments(text: str) -> list[str]:
    """Return a text's comments, in order."""
    lexemes, _ = tokenise(source_from_text(text))
    return [lexeme.text.rstrip() for lexeme in lexemes if lexeme.type == "COMMENT"]


def respaced(text: str, random: Random, spaces: tuple[str, ...]) -> str:
    """Put any of these between the words and signs of a text, in place of what is there; N becomes a number."""
    made, number, words = [], 0, False
    for lexeme in tokenise(source_from_text(text))[0]:
        if lexeme.type in TRIVIA:
            continue
        space = random.choice(spaces)
        word = bool(re.match(r'[\w"+-]', lexeme.text))
        if not space and word and words:
            space = " "
        words = word or lexeme.text in ("..", ",", ".")  # two numbers with a comma between would become one
        number += 1
        made += [space.replace("N", str(number)), lexeme.text]
    return "".join(made)


LINES = ("", " ", "\t", "\n", "\n   ")
COMMENTS = (*LINES, " ", " ", "", "\n\n\n", " # cN\n", "\n#cN  \n", "\n\n  # cN\n\n\n", "# cN\n # cN b\n")
