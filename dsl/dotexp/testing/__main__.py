"""Print what the checks of a plugin find: `python -m dotexp.testing acme_lion`."""

from __future__ import annotations

import sys

from dotexp.language.diagnostics import UsageError
from dotexp.testing.suite import inspect_plugin


def main() -> int:
    """Check the plugin named on the command line; 1 where a check failed, 2 for a plugin that is not there."""
    if len(sys.argv) != 2:
        print("usage: python -m dotexp.testing PLUGIN", file=sys.stderr)
        return 2
    try:
        report = inspect_plugin(sys.argv[1])
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(report)
    return 1 if report.failed else 0


sys.exit(main())
