"""The key-less process behind the file tools and the sandbox."""
