"""What an ONNX file may ask for: none gets more memory or time than an honest one needs.

All limits stand here. Each is far above what models in use have; what a user runs into is said in
the error, with the limit.
"""

from __future__ import annotations

__all__ = [
    "EXPANSION",
    "FIELDS",
    "FILE_BYTES",
    "MESSAGE_DEPTH",
    "NAME_CHARACTERS",
    "NODES",
    "PROBLEMS",
    "RANK",
]

#: Bytes of a model file: protobuf's own limit. Larger models keep their weights in other files.
FILE_BYTES = 2**31 - 1

#: How deep messages may nest: protobuf's own limit. A subgraph takes three levels.
MESSAGE_DEPTH = 100

#: Fields of all messages: a node takes about five, so 300,000 nodes. Each costs time to look at.
FIELDS = 1_500_000

#: Bytes that messages, names and packed integers may take in memory beyond their bytes in the file.
#: Two bytes of a file can become a message of 256.
EXPANSION = 128 * 2**20

#: Nodes, once all functions are written out where they are called: 40 functions of which each
#: calls the next one twice would be 2**40.
NODES = 500_000

#: Axes of a tensor: NumPy's own limit.
RANK = 64

#: Problems that one error lists. The search ends there.
PROBLEMS = 100

#: Characters of a name from a file that an error shows.
NAME_CHARACTERS = 80
