"""Tests of what carries admitted jobs."""
