"""Forge and model as one process: says where they are, and ends with whoever started it."""

import asyncio
import io
import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import aiohttp
import pytest

from bot.standin import sample
from bot.standin.__main__ import main

WAIT_SECONDS = 60.0


async def test_both_stand_until_nobody_listens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reader, writer = os.pipe()
    monkeypatch.setattr(sys, "stdin", os.fdopen(reader))
    standing = asyncio.create_task(main(tmp_path, "sk-ant-x"))
    said = ""
    async with asyncio.timeout(WAIT_SECONDS):
        while not said:
            await asyncio.sleep(0.01)
            said = capsys.readouterr().out
    facts = json.loads(said)
    assert said.count("\n") == 1
    assert facts["private_key"].startswith("-----BEGIN")
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{facts['forge_url']}/repos/{sample.REPOSITORY}") as answer:
            assert answer.status == 401
        async with session.post(f"{facts['model_url']}/v1/messages", json={}) as answer:
            assert answer.status == 401
    os.close(writer)
    async with asyncio.timeout(WAIT_SECONDS):
        await standing
    sys.stdin.close()
    with pytest.raises(aiohttp.ClientConnectorError):
        async with aiohttp.ClientSession() as session:
            await session.get(facts["forge_url"])


async def test_a_listener_that_is_gone_already_ends_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    await main(None, None)
    assert set(json.loads(capsys.readouterr().out)) >= {"forge_url", "git_url", "model_url", "app_id"}


def test_it_starts_as_a_process(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "bot.standin", "--root", str(tmp_path), "--api-key", "sk-ant-x"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        facts = json.loads(process.stdout.readline())
        with urllib.request.urlopen(f"{facts['model_url']}/_model/requests", timeout=10) as answer:
            assert json.load(answer) == {"requests": []}
        process.stdin.close()
        assert process.wait(WAIT_SECONDS) == 0
