"""One module per family of REST operations; each handler turns a call into an answer."""
