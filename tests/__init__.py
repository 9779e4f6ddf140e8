"""The tests; folders mirror `bot/`."""
