"""An engine that trains image-to-image translation from recipes; every component comes from a plugin.

`__init__.pyi` beside this file lists the public names, which plugins and users build on. Each is imported on first
use, so that `--help` and a fault in a recipe's YAML do not wait for torch. The packages in here import only downwards
in this order:

    commands      the command lines
    conformance   the kit behind `translate-plugins check`
    ablation      a recipe that varies another one
    experiment    the Python interface
    translating   a trained run applied
    training      from a resolved recipe to weights
    storage       what is on disk
    recipe        from YAML to a resolved recipe
    components    finding, registering and describing components
    contracts     what a plugin implements, one file a kind
    runtime       device, ranks, randomness, signals, console, files
    errors        what is reported to users
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
