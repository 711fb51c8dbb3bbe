"""`python -m translate_core.run`, for torchrun: the command `translate-run`."""

if __name__ == "__main__":
    from translate_core.program import quit_on_interrupt

    quit_on_interrupt()

    from translate_core.commands.run import end, main

    end(main())
