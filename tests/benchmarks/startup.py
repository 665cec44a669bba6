"""How long the light commands take, against importing what they are made of."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

REPOSITORY = Path(__file__).resolve().parents[2]
BASE = [sys.executable, "-c", "import pydantic, lark"]
ROUNDS = 8


def ratios() -> dict[str, float]:
    """Wall time of `--help` and of `check` of every spec over that of the imports, the least of several rounds each.

    Modules are byte-compiled first, as an installer leaves them.
    """
    specs = sorted(path.name for path in (REPOSITORY / "specs").glob("*.exp"))
    commands = {"imports": BASE, "--help": [sys.executable, "-m", "dotexp.cli", "--help"]}
    commands |= {f"check {name}": [sys.executable, "-m", "dotexp.cli", "check", f"specs/{name}"] for name in specs}
    least = dict.fromkeys(commands, float("inf"))
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": cache}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        for turn in range(ROUNDS + 1):
            for name, command in commands.items():
                start = perf_counter()
                subprocess.run(command, cwd=REPOSITORY, env=environment, stdout=subprocess.DEVNULL, check=True)
                if turn:
                    least[name] = min(least[name], perf_counter() - start)
    return {name: seconds / least["imports"] for name, seconds in least.items()}


def measure() -> None:
    """Print the ratios."""
    print("start-up, over `import pydantic, lark` (to stay within 3):")
    for name, ratio in ratios().items():
        print(f"  {ratio:5.2f}  {name}")
