"""SANDBOX_TOOLCHAINS: folders of toolchains pass, anything that holds more is refused at the start."""

from pathlib import Path

import pytest

from bot.config import Role, load
from bot.errors import ConfigError

KEYS = {"GITHUB_WEBHOOK_SECRET": "a-webhook-secret"}


def settings(toolchains: str, data_dir: Path) -> tuple[str, ...]:
    """The folders that were read."""
    environ = {**KEYS, "SANDBOX_TOOLCHAINS": toolchains, "ISSUEWRIGHT_DATA_DIR": str(data_dir)}
    return load(environ, role=Role.WEB).toolchains


def test_absolute_folders_are_read_once_each_and_links_are_resolved(tmp_path: Path) -> None:
    for name in ("go", "node"):
        (tmp_path / name / "bin").mkdir(parents=True)
    (tmp_path / "current").symlink_to(tmp_path / "node")
    given = f"{tmp_path}/go:{tmp_path}/current: {tmp_path}/node:"
    assert settings(given, tmp_path / "data") == (f"{tmp_path}/go", f"{tmp_path}/node")
    assert settings("", tmp_path / "data") == ()


@pytest.mark.parametrize(
    "place",
    ["/", "/etc", "/etc/ssl", "/proc", "/home", "/root", "/tmp", "/var", "/run", "relative", "/absent", "~"],
)
def test_a_place_that_is_no_toolchain_is_refused(place: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="SANDBOX_TOOLCHAINS"):
        settings(place, tmp_path / "data")


@pytest.mark.parametrize("secret", [".ssh", ".aws", ".config"])
def test_a_folder_with_secrets_is_refused_from_above_and_from_within(secret: str, tmp_path: Path) -> None:
    (tmp_path / "home" / secret / "inner").mkdir(parents=True)
    for place in (tmp_path / "home", tmp_path / "home" / secret, tmp_path / "home" / secret / "inner"):
        with pytest.raises(ConfigError, match="holds more than a toolchain"):
            settings(str(place), tmp_path / "data")


def test_ones_own_home_and_what_lies_above_it_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "people" / "me").mkdir(parents=True)
    (tmp_path / "people" / "me" / "go").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "people" / "me"))
    for place in (tmp_path, tmp_path / "people", tmp_path / "people" / "me"):
        with pytest.raises(ConfigError, match="holds more than a toolchain"):
            settings(str(place), Path("/srv/data"))
    assert settings(f"{tmp_path}/people/me/go", Path("/srv/data"))


def test_the_data_folder_is_apart(tmp_path: Path) -> None:
    (tmp_path / "data" / "go").mkdir(parents=True)
    for place in (tmp_path / "data", tmp_path / "data" / "go", tmp_path):
        with pytest.raises(ConfigError, match="lie in each other"):
            settings(str(place), tmp_path / "data")
