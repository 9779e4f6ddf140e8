"""Tests through the front door: real processes, real git, a stateful GitHub and a scripted model."""
