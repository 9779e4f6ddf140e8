"""The only room that imports `anthropic`: the client, and what models cost."""
