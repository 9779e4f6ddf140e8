"""From a claimed job to its end: one short module for each step."""
