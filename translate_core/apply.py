"""`python -m translate_core.apply`: the command `translate-apply`."""

import sys

if __name__ == "__main__":
    from translate_core.program import translate_apply

    sys.exit(translate_apply())
