"""Tests of the calls to GitHub."""
