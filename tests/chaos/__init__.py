"""The chaos kit: things die at every step and at any moment, and what people see stays single.

`tests/chaos/test_boundaries.py` cuts the power in process at every boundary of every kind of job;
`python -m tests.chaos` kills real processes, seeded and replayable.
"""
