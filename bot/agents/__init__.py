"""Agents: their definitions, the tools they are shown, and the loop that runs them."""
