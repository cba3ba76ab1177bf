"""One record for each operator: what drives its proof.

The records of a family stand in the module named like the family's module in ``ops``, in its
list ``RECORDS``; here are all of them.
"""

import importlib
import pkgutil

_FAMILIES = sorted(module.name for module in pkgutil.iter_modules(__path__))

RECORDS = [
    record
    for family in _FAMILIES
    for record in getattr(importlib.import_module(f"{__name__}.{family}"), "RECORDS", ())
]
