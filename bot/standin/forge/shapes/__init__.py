"""The JSON forms of GitHub's objects, complete enough for its OpenAPI description."""
