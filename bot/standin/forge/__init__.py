"""A stateful GitHub on loopback: REST, signed webhooks and git over HTTP."""
