"""Forge and model as one process, for the demo: `python -m bot.standin [--root DIR]`.

Prints one JSON line with addresses, the App's key and what a person is to ask; runs until its standard
input is closed.
"""

import argparse
import asyncio
import json
import sys
from pathlib import Path

from bot.standin import sample
from bot.standin.forge.forge import Forge
from bot.standin.model.server import ModelServer


async def main(root: Path | None, api_key: str | None) -> None:
    """Start both, make the sample's world, say where they are, and stop when nobody listens any more."""
    forge = Forge(root=root, is_anonymous_clone_allowed=True)
    model = ModelServer(sample.BOOK, api_key=api_key)
    await forge.start()
    await model.start()
    try:
        forge.create_user(sample.OWNER, "Organization")
        forge.create_user(sample.PERSON)
        await forge.create_repository(sample.REPOSITORY, sample.FILES)
        forge.set_permission(sample.REPOSITORY, sample.PERSON, "write")
        facts = {
            "forge_url": forge.api_url,
            "git_url": forge.git_url,
            "model_url": model.url,
            "app_id": forge.app_id,
            "private_key": forge.private_key,
            "owner": sample.OWNER,
            "repository": sample.REPOSITORY,
            "person": sample.PERSON,
            "label": sample.LABEL,
            "title": sample.TITLE,
            "body": sample.BODY,
        }
        sys.stdout.write(json.dumps(facts) + "\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)
    finally:
        await model.stop()
        await forge.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="bot.standin")
    parser.add_argument("--root", type=Path)
    parser.add_argument("--api-key")
    chosen = parser.parse_args()
    asyncio.run(main(chosen.root, chosen.api_key))
