"""Names that say which set of the data a folder, or a row of a table, belongs to. Needs no torch."""

from __future__ import annotations

import re
from collections.abc import Mapping

ROLES: Mapping[str, tuple[str, ...]] = {
    "train": ("train", "training", "trn", "trainval"),
    "valid": ("valid", "val", "validation", "validate", "dev", "development", "eval", "evaluation", "holdout"),
    "test": ("test", "testing", "tst"),
}
"""Names of the training, validation and test set, in small letters."""

TITLES: Mapping[str, str] = {"train": "training set", "valid": "validation set", "test": "test set"}

YES = ("1", "1.0", "true", "t", "yes", "y")
NO = ("0", "0.0", "false", "f", "no", "n")
"""Words for a row that is marked, or is not, in small letters."""

_SPLITS = frozenset({"split", "splits", "subset", "partition", "phase", "usage", "fold", "holdout"})
_WHOLE_NAMES = frozenset({"set", "part", "mode", "purpose", "stage", "group", "dataset", "set_type", "set_name"})
_WEAK = ("dev", "development", "eval", "evaluation", "holdout")
_FILLERS = frozenset(
    {
        *("set", "sets", "data", "dataset", "datasets", "split", "splits", "part", "folder", "dir", "file", "files"),
        *("image", "images", "img", "imgs", "photo", "photos", "pic", "pics", "picture", "pictures", "seg"),
        *(
            "is",
            "public",
            "private",
            "in",
            "the",
            "of",
            "my",
            "all",
            "new",
            "small",
            "large",
            "full",
            "cropped",
            "resized",
            "processed",
        ),
    }
)
_NUMBERED = re.compile(r"(cv|k?fold|split|part|subset|set|chunk|shard|batch|round|session)[-_ ]?\d+", re.IGNORECASE)
_UNLABELLED = frozenset(
    {"unlabeled", "unlabelled", "unsup", "unsupervised", "nolabel", "nolabels", "unannotated", "unclassified"}
)
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def role_of(name: str) -> str | None:
    """Return the set that a name stands for: `train`, `valid` or `test`; None for any other name.

    `Training`, `test_set`, `is_test`, `TestImages` and `val2017` stand for one: a word of `ROLES`, in any case, and
    besides it nothing but digits, separators and words such as `set`, `data` and `images`.
    """
    words = [
        word.lower() for word in _WORD.findall(re.sub(r"hold[-_ ]?out|held[-_ ]?out", "holdout", name, flags=re.I))
    ]
    roles = {role for word in words if (role := _role(word)) is not None}
    others = [word for word in words if _role(word) is None and word not in _FILLERS]
    return roles.pop() if len(roles) == 1 and not others else None


def names_split(column: str) -> bool:
    """Return whether a column's name says that it marks the set of each row: `split`, `is_test`, `data_split`."""
    words = {word.lower() for word in _WORD.findall(column)}
    return bool(words & _SPLITS) or column.lower() in _WHOLE_NAMES or role_of(column) is not None


def marked_set(cell: str, column: str) -> str | None:
    """Return the set that a cell of a column puts its row into: `train`, `valid`, `test`, or None for no word of these.

    It is the cell's own word, or what the column's name says of yes and no: of `is_test`, yes is `test`, and no
    `train`; of `is_train`, no is `held out`.
    """
    role, word = role_of(column), cell.lower()
    if word in YES:
        return role
    if word in NO:
        return {None: None, "train": "held out"}.get(role, "train")
    return role_of(cell)


def beside_class(name: str) -> tuple[str, str] | None:
    """Return the set and the class that a name such as `train_cat` or `dog-test` holds both; None for any other."""
    words = [word.lower() for word in _WORD.findall(name)]
    if len(words) < 2:
        return None
    for at in (0, -1):
        if (role := _role(words[at])) is not None:
            rest = words[1:] if at == 0 else words[:-1]
            return None if any(map(_role, rest)) else (role, " ".join(rest))
    return None


def is_numbered_set(name: str) -> bool:
    """Return whether a name is a numbered piece of the data, such as `fold1`, `split_2` or `part-03`."""
    return _NUMBERED.fullmatch(name) is not None


def is_unlabelled(name: str) -> bool:
    """Return whether a name says that its images have no class: `unlabeled`, `unsup`."""
    return re.sub(r"[-_ ]", "", name.lower()) in _UNLABELLED


def is_weak(name: str) -> bool:
    """Return whether a name that stands for a set is as likely to be a class: `dev`, `eval`, `holdout`."""
    return name.lower() in _WEAK


def _role(word: str) -> str | None:
    """Return the set that a word stands for, with a filler behind it or before it if need be: `testset`."""
    for role, names in ROLES.items():
        for name in names:
            if word == name or (word.startswith(name) and word.removeprefix(name) in _FILLERS):
                return role
    return None
