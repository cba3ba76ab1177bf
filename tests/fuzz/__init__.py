"""Model files that are damaged at random: reading one ends in a graph or in an error of ours.

- ``python -m tests.fuzz --files 100000 --seed 0``: so many, which anyone can repeat.
- ``python -m tests.fuzz.coverage tests/fuzz/corpus``: the same, led by coverage; needs
  atheris: ``pip install --group fuzz``.
- ``python -m tests.fuzz.seeds``: write the corpus anew.

In it:

- ``seeds``: the files that are damaged: the corpus, and ONNX's own cases.
- ``damage``: from a file to a damaged one, by its bytes or by its parts.
- ``target``: what reading a file may end in, and what it may cost.
"""
