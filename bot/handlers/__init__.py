"""GitHub's events in, intents out: one behaviour a module, no side effects."""
