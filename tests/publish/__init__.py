"""Tests of what leaves for GitHub."""
