"""Stand-ins for GitHub and for the model, used by the demo and the tests."""
