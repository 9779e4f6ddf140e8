"""`issuewright serve`: one web process and, unless told otherwise, one worker; also in pull mode."""

import argparse
import os
from dataclasses import replace
from pathlib import Path

from bot.cli.children import CommandBuilder, product_command
from bot.cli.launch import Launch, launch, log_directory
from bot.config import Role, load
from bot.process import set_undumpable


def run(arguments: argparse.Namespace, *, command: CommandBuilder = product_command) -> int:
    """Serve until stopped; returns the exit code.

    Raises:
        ConfigError: The settings cannot be used.
        UserError: The port cannot be had.
    """
    set_undumpable()
    has_worker = not arguments.no_worker
    environ = {**os.environ, "ISSUEWRIGHT_PULL": "true"} if arguments.pull else os.environ
    settings = load(environ, role=Role.ALL if has_worker else Role.WEB, env_file=Path(".env"))
    port = settings.port if arguments.port is None else arguments.port
    settings = replace(settings, host=arguments.host, port=port)
    plan = Launch(
        settings,
        has_web=True,
        has_worker=has_worker,
        log_dir=log_directory(arguments.log_dir),
        command=command,
    )
    return launch(plan)
