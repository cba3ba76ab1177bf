"""The mathematics of graphnet: operators as frozen dataclasses, with forward and backward.

An operator knows no graph and no device.  :mod:`ops.operator` holds the contract that
user-written operators follow; every other module is one family.

A family is imported when one of its operators is first asked for: ``__init__.pyi`` lists them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
