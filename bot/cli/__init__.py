"""The `issuewright` command: one module per subcommand, and the supervisor that they start."""
