"""Tests of the values and rules without I/O."""
