"""`python -m translate_core.run`, for torchrun: the command `translate-run`."""

from translate_core.commands.run import end, main

if __name__ == "__main__":
    end(main())
