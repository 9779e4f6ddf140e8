"""Tests of a job's way from claim to end."""
