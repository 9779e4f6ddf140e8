"""Tables, sessions and one module of queries for each aggregate."""
