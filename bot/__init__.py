"""Issuewright: a self-hosted GitHub App that runs agents for issues and pull requests."""

__version__ = "0.1.0"
