"""`python -m translate_core.apply`: the command `translate-apply`."""

import sys

from translate_core.commands.apply import main

if __name__ == "__main__":
    sys.exit(main())
