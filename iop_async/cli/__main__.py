"""``python -m iop_async.cli``."""

from . import main

main()
