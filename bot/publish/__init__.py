"""What leaves for GitHub: sanitized, rendered, frozen, then written once."""
