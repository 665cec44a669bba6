"""`python -m dotexp.cli` is `spec-runner`."""

from dotexp.cli import main

main()
