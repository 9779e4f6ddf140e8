"""`issuewright worker`: one more worker, on this machine or on another one."""

import argparse
import os
from pathlib import Path

from bot.cli.children import CommandBuilder, product_command
from bot.cli.launch import Launch, launch, log_directory
from bot.config import Role, load
from bot.process import set_undumpable


def run(arguments: argparse.Namespace, *, command: CommandBuilder = product_command) -> int:
    """Work on jobs until stopped; returns the exit code.

    Raises:
        ConfigError: The settings cannot be used.
    """
    set_undumpable()
    settings = load(os.environ, role=Role.WORKER, env_file=Path(".env"))
    log_dir = log_directory(arguments.log_dir)
    return launch(Launch(settings, has_web=False, has_worker=True, log_dir=log_dir, command=command))
