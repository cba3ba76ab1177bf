"""Side-by-side timings, each run with ``python -m benchmarks NAME``.

What is compared alternates within one run, and medians are printed with their ratio, so
that a machine that slows down slows both sides down.
"""
