"""The web process: receives webhooks and says how things are; holds no key of GitHub or the model."""
