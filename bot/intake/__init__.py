"""The doors: what comes in is verified, stored, dispatched and submitted here."""
