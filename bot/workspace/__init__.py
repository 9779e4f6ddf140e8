"""Mirrors, trees, the tool host and the sandbox."""
