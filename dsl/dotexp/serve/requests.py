"""Questions about users and items, as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from dotexp.serve.limits import Limits
from dotexp.serve.service import RefusedError

_FORMS = (
    '{"user": "196", "item": "242"}, {"pairs": [{"user": "196", "item": "242"}]}, '
    '{"user": "196", "top": 10} or {"user": "196", "top": 10, "seen": true}'
)


@dataclass(frozen=True)
class Pairs:
    """Pairs of a user and an item to predict for."""

    pairs: list[tuple[str, str]]


@dataclass(frozen=True)
class User:
    """A user whose best items are wanted; `seen` None leaves it to what is known of the user."""

    user: str
    top: int
    seen: bool | None


def parse_question(body: bytes, limits: Limits) -> Pairs | User:
    """Read a question. Raises RefusedError: 400 for what is not JSON, 413 for too many, 422 for another form."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RefusedError(400, f"the body is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise _other_form("the body is not an object")
    keys = set(value)
    if keys == {"pairs"} and isinstance(value["pairs"], list) and value["pairs"]:
        if len(value["pairs"]) > limits.pairs:
            raise RefusedError(413, f"there are {len(value['pairs']):,} pairs, and {limits.pairs:,} are taken at once")
        return Pairs([_pair(each, f"pair {place}: ") for place, each in enumerate(value["pairs"], 1)])
    if keys == {"user", "item"}:
        return Pairs([_pair(value, "")])
    if "user" in keys and keys <= {"user", "top", "seen"}:
        return _user(value, limits)
    raise _other_form(f"the body has {', '.join(f'`{key}`' for key in sorted(keys)[:5]) or 'nothing'}")


def _user(value: dict[str, Any], limits: Limits) -> User:
    top, seen = value.get("top", 10), value.get("seen")
    if not isinstance(top, int) or isinstance(top, bool) or not 1 <= top <= limits.top:
        raise RefusedError(422, f"`top` is {json.dumps(top)[:50]}: a whole number from 1 to {limits.top:,} is wanted")
    if seen is not None and not isinstance(seen, bool):
        raise RefusedError(422, "`seen` is neither true nor false")
    return User(_id(value["user"], "user", ""), top, seen)


def _pair(value: Any, where: str) -> tuple[str, str]:
    if not isinstance(value, dict) or set(value) != {"user", "item"}:
        raise RefusedError(422, f"{where}a pair is an object with `user` and `item`")
    return _id(value["user"], "user", where), _id(value["item"], "item", where)


def _id(value: Any, name: str, where: str) -> str:
    """Take an id: text, or a whole number, which is the text of its digits."""
    if isinstance(value, str) and value:
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise RefusedError(422, f"{where}`{name}` is {json.dumps(value)[:50]}: an id, text or a whole number, is wanted")


def _other_form(what: str) -> RefusedError:
    return RefusedError(422, f"{what}: a question is {_FORMS}")
