"""Inputs for fuzzing: bytes, damaged specs, text by the grammar, and experiments that mean something."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random

from dotexp.components.registry import Registry, load_registry
from dotexp.language.keywords import RESERVED

ROOT = Path(__file__).parents[2]
SPECS = ROOT / "specs"


@dataclass(frozen=True)
class Case:
    """One input: a file's bytes, and what `--set` says."""

    data: bytes
    overrides: tuple[str, ...] = ()


# Bytes


_SIGNS = "= , . .. ( ) [ ] { } : ; * / + - % == # // \\ ' \" @ ` $ ~ ! ? & | < > ^"
_LITERALS = '"" " r" "a\\ "\\u d800" \\u0000 \\ud800 0 -0 +1 1e999 1e-999 .5 5. 1_000 0x1F 2x 20% -3% 1..2 2..1 1e5..'
_NAMES = "adam sgd mlp linear one_cycle flat resnet18 digits ratings run column slice accuracy vision.flip a-b _ x stge"
_ODD = "\u00a0 \u200b ad\u0430m \u201ca\u201d \u202e \u2028 \ufeff \x00 \x7f \x1b \r \r\n \n \t \u00e9 e\u0301 \ud800"
_RARE = "\U0001f600 \uffff \u2212 \u2026 \uff11 \u0661 \u01c5 \u3042\u6f22 \u212a exept sweep report \u00b2 \u0345"
SNIPPETS = (*RESERVED, *(word for text in (_SIGNS, _LITERALS, _NAMES, _ODD, _RARE) for word in text.split(" ")))
"""Pieces of the language, and what it does not have."""


@cache
def corpus() -> tuple[bytes, ...]:
    """Every spec and template of the project, and pieces of them."""
    files = sorted([*SPECS.glob("*.exp"), *(ROOT / "dsl" / "dotexp" / "templates").glob("*.exp")])
    whole = [file.read_bytes() for file in files]
    pieces = [piece for text in whole for piece in text.split(b"\n\n") if piece.strip()]
    return (*whole, *pieces)


def random_bytes(random: Random) -> Case:
    """Bytes of any value, bytes of text, a mixture of the language's pieces, or a damaged piece of a spec."""
    match random.randrange(4):
        case 0:
            return Case(random.randbytes(random.randrange(60)))
        case 1:
            return Case(bytes(random.choices(range(9, 127), k=random.randrange(80))))
        case 2:
            space = random.choice(["", " ", " ", "\n"])
            return Case(space.join(random.choices(SNIPPETS, k=random.randrange(25))).encode("utf-8", "surrogatepass"))
        case _:
            return Case(damage(random.choice(corpus())[:200], random))


def damage(data: bytes, random: Random) -> bytes:
    """Flip, splice, delete, repeat and insert, a few times."""
    for _ in range(random.randint(1, 5)):
        start = random.randint(0, len(data))
        end = min(len(data), start + int(random.expovariate(0.08)))
        piece = data[start:end]
        match random.randrange(7):
            case 0 if start < len(data):
                piece, end = bytes([data[start] ^ (1 << random.randrange(8))]), start + 1
            case 1:
                other = random.choice(corpus())
                at = random.randint(0, len(other))
                piece = other[at : at + random.randrange(60)]
            case 2:
                piece = b""
            case 3:
                piece = piece * random.randint(2, 3)
            case 4:
                piece = random.randbytes(random.randrange(4))
            case _:
                piece += b" " + random.choice(SNIPPETS).encode("utf-8", "surrogatepass") + b" "
        data = data[:start] + piece + data[end:]
    return data


def mutated(random: Random) -> Case:
    """A whole spec, damaged; sometimes with overrides."""
    return Case(damage(random.choice(corpus()), random), overrides(random) if random.random() < 0.2 else ())


# Text by the grammar

WORDS = ("a", "b_2", "one-cycle", "\u00e9t\u00e9", "_x", "epochs", "head", "model", "stage", "train", "sgd", "none_")
NUMBERS = (
    *("0", "-0", "1", "2", "-1", "7", "64", "1000000", "9223372036854775807", "9223372036854775808", "0.5", "1e-3"),
    *("-0.0", "1e308", "1e-308", "5e-324", "1e22", "20%", "0%", "150%", "1e2%", "-5%", "1.0", "3e0", "9" * 300),
)
STRINGS = (
    *('""', '"a"', 'r"(.+)_\\d+"', '"\\u202e"', '"\\u2028\\u0085"', '"\\u007f\\u0001"', '"{0.__class__}%s$x"'),
    *('"../../x"', '"/etc/passwd"', '"\\ud83d\\ude00"', '"\\"\\\\\\n\\t\\r"', '"\u00e9 \U0001f600"', '"~"', '"."'),
    *('"digits.exp"', '"\\ufeff"', '"\\ufffe"', 'r"\\"', '"auto"', '"utf-8"', '"train"', '"a b"', '"\\u0008\\u000c"'),
)
"""Numbers and strings at the edges of what is allowed, and beyond."""


def text_by_grammar(random: Random) -> Case:
    """Statements in any order with any values: nearly all of it parses, hardly any resolves."""
    space = random.choice([" ", "\n", "\t# why\n"])
    text = space.join(statement(random) for _ in range(random.randint(1, 8)))
    return Case(text.encode("utf-8", "surrogatepass"), overrides(random) if random.random() < 0.3 else ())


def item(random: Random, depth: int = 2) -> str:
    """Any value."""
    simple: tuple[Callable[[], str], ...] = (
        lambda: random.choice(NUMBERS),
        lambda: random.choice(STRINGS),
        lambda: random.choice(("true", "false", "none")),
        lambda: f"{random.choice(NUMBERS)}..{random.choice(NUMBERS)}",
        lambda: random.choice(WORDS),
        lambda: random.choice(names()),
    )
    nested: tuple[Callable[[], str], ...] = (
        lambda: f"[{_some(random, lambda: item(random, depth - 1))}]",
        lambda: f"{{{_some(random, lambda: f'{random.choice(WORDS)} = {item(random, depth - 1)}')}}}",
        lambda: call(random, depth - 1),
    )
    return random.choice(simple + nested if depth > 0 else simple)()


def _some(random: Random, make: Callable[[], str]) -> str:
    made = [make() for _ in range(random.choice((0, 1, 1, 2, 3)))]
    return ", ".join(made) + ("," if made and random.random() < 0.1 else "")


def call(random: Random, depth: int = 1) -> str:
    """A component, known or not, with any arguments."""
    name = random.choice(names()) if random.random() < 0.8 else random.choice(WORDS)
    return name + (arguments(random, depth) if random.random() < 0.6 else "")


def arguments(random: Random, depth: int = 1) -> str:
    """Arguments with and without names."""

    def one() -> str:
        given = item(random, depth)
        return given if random.random() < 0.3 else f"{random.choice(parameters())} = {given}"

    return f"({_some(random, one)})"


@cache
def registry() -> Registry:
    """The installed plugins."""
    return load_registry()


@cache
def names() -> tuple[str, ...]:
    """Every component's name, some with their owner."""
    found = [c.name for c in registry().components]
    return (*found, *(f"{c.provider.removeprefix('dotexp_')}.{c.name}" for c in registry().components[:5]), "no.name")


@cache
def parameters() -> tuple[str, ...]:
    """Every parameter's name."""
    fields = {name for c in registry().components for name in c.params.model_fields}
    return (*sorted(fields), "no_such")


LAYERS = ("stem", "layer1", "layer2", "layer3", "layer4", "body", "head", "early", "late", "model", "nowhere")
_RESNET = ("stem", "layer1", "layer2", "layer3", "layer4", "head")


def _led(keyword: str, random: Random) -> str:
    return f"{keyword}{arguments(random)}" if random.random() < 0.3 else f"{keyword} {call(random)}"


def freeze(random: Random) -> str:
    """Any freeze statement."""
    first, last = random.choice(LAYERS), random.choice(LAYERS)
    said = random.choice(("unfreeze", f"freeze before {first}", f"freeze {first}", f"freeze {first}..{last}, body"))
    return said + (random.choice(("", "", " except batchnorm", " except norm", " except moon")) if " " in said else "")


def groups(random: Random) -> str:
    """ResNet's layers cut into groups, sometimes in a wrong order."""
    cuts = sorted(random.sample(range(1, 6), random.randint(1, 3)))
    layers = random.sample(_RESNET, 6) if random.random() < 0.2 else _RESNET
    pieces = [layers[a:b] for a, b in zip([0, *cuts], [*cuts, 6], strict=True)]
    said = (f"{random.choice(('', '', 'g', 'fit', 'late', 'head'))} [{', '.join(piece)}]" for piece in pieces)
    return f"groups {', '.join(said)}"


def statement(random: Random) -> str:
    """One statement of any kind."""
    kind = random.randrange(14)
    word, words = random.choice(WORDS), " ".join
    match kind:
        case 0:
            return f"dotexp {random.choice(('1', '1', '2', '1.0', '1%'))}"
        case 1:
            return f"extends {random.choice(STRINGS)}"
        case 2:
            return f"experiment {word} {random.choice(('', *STRINGS))}"
        case 3:
            return f"seed {random.choice((*NUMBERS, 'a', 'none', 'adam(1)'))}"
        case 4 | 5:
            return f"param {random.choice(('a', 'b_2', 'epochs', '_x', 'sgd'))} = {item(random)}"
        case 6:
            lead = random.choice(("metrics ", "callbacks ", "report "))
            return lead + ", ".join(call(random) for _ in range(random.randint(1, 3)))
        case 7:
            members = [_led("body", random), _led("head", random), groups(random)]
            return f"model {{ {words(random.sample(members, random.randint(0, 3)))} }}"
        case 8 | 9:
            slot = random.choice(("data", "loss", "optimizer", "callbacks"))
            members = [_led("fit", random), _led(slot, random), freeze(random)]
            return f"stage {word} {{ {words(random.sample(members, random.randint(0, 3)))} }}"
        case 10:
            return f"runtime{arguments(random)}"
        case _:
            return _led(random.choice(("data", "loss", "optimizer", "model", "stages")), random)


PATHS = (
    *("seed", "data", "data.size", "data.valid", "model", "model.body", "model.body.weights", "model.head.dropout"),
    *("loss", "optimizer", "optimizer.wd", "optimizer.betas", "metrics", "runtime", "runtime.threads", "epochs", "a"),
    *("callbacks", "report", "stage.train.callbacks"),
    *("stage.train.fit", "stage.train.fit.lr", "stage.train.fit.epochs", "stage.train.freeze", "stage.train.data.size"),
    *(
        "stage",
        "stage.train",
        "stages",
        "stages.epochs",
        "data.augment.flip.p",
        "model.body.weights.run",
        ".",
        "",
        "x.y",
    ),
    *("stage.head.fit.lr.high", "stage.train.optimizer", "whole", "fit", "\ud800", "experiment", "groups"),
)


def overrides(random: Random) -> tuple[str, ...]:
    """What `--set` may be given."""

    def one() -> str:
        path = random.choice(PATHS)
        if random.random() < 0.05:
            return path
        said = freeze(random) if path.endswith("freeze") or random.random() < 0.05 else item(random, 1)
        return f"{path}={random.choice(SNIPPETS) if random.random() < 0.1 else said}"

    return tuple(one() for _ in range(random.randint(1, 3)))


# Experiments that mean something


def experiment(random: Random) -> Case:
    """A whole experiment of things that belong together, with values within bounds, or now and then beyond them."""
    pick = random.choice
    odd = lambda usual: item(random) if random.random() < 0.02 else usual  # noqa: E731 - a short word, used below
    images = random.random() < 0.6
    lines = [
        f"experiment {pick(('a', 'fit', 'x-1'))} {pick(('', *STRINGS))}",
        f"seed {odd(pick(('0', '42', str(2**63 - 1))))}",
    ]
    batch = f"batch_size = {odd(pick(('1', '2', '64', '65536')))}"
    if images:
        valid = odd(pick(("20%", "0.5", "3", '"valid"')))
        folder = f"image_folder({pick(STRINGS)}, valid = {valid}, augment = {odd(_augment(random))}, {batch})"
        digits = (
            f"digits(classes = {odd(pick(('0..9', '3..4', '[1, 5, 7]')))}, size = {odd(pick(('8', '32')))}, {batch})"
        )
        lines.append(f"data {pick((digits, folder))}")
        weights = pick(("none", 'run("../../x")', f"run({pick(STRINGS)})", pick(STRINGS), "imagenet"))
        head = pick(("mlp", "linear", f"mlp([{odd('512')}], dropout = [0.25, {odd('0.5')}])", "mlp([])"))
        body = f"{pick(('resnet18', 'resnet34', 'vision.resnet50', 'squeezenet1_1'))}(weights = {odd(weights)})"
        lines.append(f"model {{ body {body}  head {head}  {pick(('', '', '', '', groups(random)))} }}")
        lines.append(f"loss {odd(pick(('cross_entropy', 'binary_cross_entropy')))}")
        metrics = ("accuracy", "error_rate", "f1", f"top_k_accuracy(k = {odd('2')})")
    else:
        latent = (
            f"latent_ratings(users = {odd('20')}, range = {odd(pick(('0..5', '-1.0..-0.5', '1e-3..1e3')))}, {batch})"
        )
        valid = odd(pick(("3", "column(3)", '"a.csv"')))
        table = f"ratings({pick(STRINGS)}, user = {pick(('0', STRINGS[1]))}, valid = {valid}, {batch})"
        lines.append(f"data {pick((latent, table))}")
        lines.append(f"model embedding_dot_bias({odd('4')}, y_range = {odd(pick(('none', '-0.5..5.5')))})")
        lines.append("loss mse")
        metrics = ("mae", "rmse")
    if random.random() < 0.5:
        lines.append("metrics " + ", ".join(random.choices(metrics, k=random.randint(1, 2))))
    if random.random() < 0.7:
        lines.append(f"optimizer {_optimizer(random)}")
    if random.random() < 0.3:
        lines.append(f"runtime(threads = {odd(pick(('none', '1', '1024')))}, precision = bf16)")
    if random.random() < 0.95:
        lines += [f"param epochs = {odd('2')}", f"param rate = {odd('1e-3')}"]
    for name in random.sample(("train", "head", "model", "b_2"), random.randint(1, 3)):
        lines.append(_stage(name, images, odd, random))
    if random.random() < 0.1:
        lines.append(f"stages fine_tune({odd('1')}, freeze_epochs = {odd('1')}, lr_mult = {odd('100')})")
    random.shuffle(lines)
    return Case("\n".join(lines).encode("utf-8", "surrogatepass"), overrides(random) if random.random() < 0.15 else ())


def _stage(name: str, images: bool, odd: Callable[[str], str], random: Random) -> str:
    pick = random.choice
    by_group = ("[1e-5, 1e-4, 1e-3]", "{early = 1e-5, late = 1e-4, head = 1e-3}") if images else ("{model = 1e-3}",)
    rate = pick(("1e-3", "slice(1e-5, 1e-3)", "slice(1e-4)", "rate", "1e4", "5e-324", *by_group))
    epochs = odd(pick(("1", "2", "5", "epochs")))
    policy = pick(("one_cycle", "flat", "flat_cosine", "cosine", "linear", "sgdr"))
    extra = pick(("", "", f", pct_start = {odd(pick(('0.0', '1.0', '30%')))}")) if "_c" in policy else ""
    members = [f"fit {policy}({epochs}, lr = {odd(rate)}{extra})"]
    if random.random() < 0.6:
        usual = pick(("unfreeze", "freeze body", "freeze early", "freeze body except norm", "freeze early, late"))
        members.append(freeze(random) if random.random() < 0.1 else usual if images else "unfreeze")
    if random.random() < 0.2:
        members.append(f"data(batch_size = {odd(pick(('1', '7', '64')))})")
    if random.random() < 0.2:
        members.append(f"optimizer {_optimizer(random)}")
    return f"stage {name} {{ {' '.join(members)} }}"


def _optimizer(random: Random) -> str:
    number = random.choice(("0.0", "-0.0", "0.9", "0.999999", "5e-324", item(random, 0)))
    chosen = (f"adam(wd = {number})", "adam", f"sgd(momentum = {number})", f"rmsprop(momentum = {number}, wd = 0)")
    return random.choice((*chosen, f"adam(betas = [{number}, 0.99])", "sgd(decay = in_loss, momentum_form = ewma)"))


def _augment(random: Random) -> str:
    chosen = (
        "none",
        "standard",
        "[]",
        "[flip, rotate]",
        f"flip{arguments(random, 0)}",
        f"[zoom{arguments(random, 0)}]",
    )
    return random.choice(chosen)
