"""The server that tests of Redis use does what they believe it does."""

from tests.valkey import Valkey


def test_what_was_written_is_there_after_a_kill_and_gone_after_an_empty_start(valkey: Valkey) -> None:
    valkey.ask("SET", "key", "value")
    valkey.kill()
    valkey.start()
    assert valkey.ask("GET", "key") == "value"
    valkey.start_empty()
    assert valkey.ask("DBSIZE") == 0


def test_a_test_begins_with_an_empty_server_whatever_another_did(valkey: Valkey) -> None:
    valkey.ask("SET", "key", "value")
    valkey.ask("CONFIG", "SET", "maxmemory", "1")
    valkey.reset()
    assert valkey.ask("DBSIZE") == 0
    assert valkey.ask("APPEND", "key", "value") == len("value")
