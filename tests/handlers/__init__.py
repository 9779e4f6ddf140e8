"""Tests of the handlers: an event in, intents out."""
