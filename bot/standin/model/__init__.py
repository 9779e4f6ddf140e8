"""A Messages API that plays back scripts and refuses what Anthropic refuses."""
