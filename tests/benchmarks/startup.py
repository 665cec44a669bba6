"""How long the light commands take, against importing what they are made of, also beside 2,000 more components."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from time import perf_counter

from tests.benchmarks import argument_parser

REPOSITORY = Path(__file__).resolve().parents[2]
BASE = [sys.executable, "-c", "import pydantic, lark"]
ROUNDS = 15
PLUGINS, EACH = 20, 100
MORE = f"{PLUGINS * EACH:,} more components: "

_FACE = """from dotexp import component_modules, hookimpl

@hookimpl
def dotexp_components():
    return component_modules(__name__, "params")
"""


def ratios() -> dict[str, float]:
    """Median wall time of `--help` and of `check` of every spec, in alternating rounds, over that of the imports.

    Modules are byte-compiled first, as an installer leaves them.
    """
    specs = sorted(path.name for path in (REPOSITORY / "specs").glob("*.exp"))
    commands = {"imports": BASE, "--help": [sys.executable, "-m", "dotexp.cli", "--help"]}
    commands |= {f"check {name}": [sys.executable, "-m", "dotexp.cli", "check", f"specs/{name}"] for name in specs}
    commands |= {f"{MORE}{name}": command for name, command in commands.items() if name.startswith("check")}
    taken: dict[str, list[float]] = {name: [] for name in commands}
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(Path(folder, "cache"))}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        site = _install_more(Path(folder, "site"))
        wide = {**environment, "PYTHONPATH": os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(site)]))}
        for turn in range(ROUNDS + 1):
            for name, command in commands.items():
                chosen = wide if name.startswith(MORE) else environment
                start = perf_counter()
                subprocess.run(command, cwd=REPOSITORY, env=chosen, stdout=subprocess.DEVNULL, check=True)
                if turn:
                    taken[name].append(perf_counter() - start)
    return {name: median(seconds) / median(taken["imports"]) for name, seconds in taken.items()}


def _install_more(site: Path) -> Path:
    """Lay out plugins with many optimizers each, as an installer does."""
    for number in range(PLUGINS):
        name = f"acme_many{number}"
        names = [f"many{number}_{place}" for place in range(EACH)]
        models = "".join(
            f"class P{place}(Params):\n    beta: float = Field(0.9, ge=0, lt=1)\n" for place in range(EACH)
        )
        listed = "".join(
            f'Component("optimizer", "{each}", P{place}, build="a:b"),' for place, each in enumerate(names)
        )
        imports = "from dotexp import Component, Params\nfrom pydantic import Field\n"
        files = {
            f"{name}/__init__.py": _FACE,
            f"{name}/params.py": f"{imports}{models}COMPONENTS = ({listed})\n",
            f"{name}/components.json": json.dumps({"params": {"optimizer": names}}),
            f"{name}-1.0.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
            f"{name}-1.0.dist-info/entry_points.txt": f"[dotexp]\n{name} = {name}\n",
        }
        for path, text in files.items():
            (site / path).parent.mkdir(parents=True, exist_ok=True)
            (site / path).write_text(text)
    return site


def measure(arguments: Sequence[str] = ()) -> None:
    """Print the ratios."""
    argument_parser("startup", __doc__).parse_args(arguments)
    print("start-up, over `import pydantic, lark` (check to stay within 2):")
    for name, ratio in ratios().items():
        print(f"  {ratio:5.2f}  {name}")
