"""How many faults the suite finds: mutants planted in the backward passes of all operators.

``python -m tests.mutation`` plants one small fault at a time (a sign, a term, an index, an axis,
a stride, a factor, a missing reduction, ...) in every ``backward`` of ``ops`` and in the helpers
it calls, runs the records of the operators concerned, and counts the mutants that break a
promise.  Survivors are listed; those that compute the same for every input are explained in
``equivalent.py``.

- ``mutators``: from a function to its mutants.
- ``functions``: which functions a backward pass runs, and how one is replaced.
- ``equivalent``: mutants that are no faults, each with the reason.
- ``__main__``: runs them all and writes the report, ``docs/mutation.md``.
"""
