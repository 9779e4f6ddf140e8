"""The engines that carry admitted jobs to a worker."""
