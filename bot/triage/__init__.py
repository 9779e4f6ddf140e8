"""What a request is and whether it can be done, by one cheap look of a model; the rules stand without it."""
