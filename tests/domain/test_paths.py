"""Which paths the tools may name and which only people may change."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.paths import (
    MAX_PATH_BYTES,
    RefusedPath,
    check_writable,
    is_git_spelling,
    is_protected,
    split,
)


@pytest.mark.parametrize(
    "name",
    [
        ".git",
        ".GIT",
        ".Git",
        ".git ",
        ".git.",
        ".git. . ",
        "git~1",
        "GIT~1",
        "git~2",
        ".g\u200cit",
        ".gi\u200dt\ufeff",
        "\u206a.git",
        ".git::$INDEX_ALLOCATION",
        ".git:stream",
        ".git\\hooks",
        "x\\.git",
        "\uff0egit",
        ".\uff47\uff49\uff54",
        ".g\u00adit",
        "git~1.",
    ],
)
def test_every_spelling_of_the_git_directory_is_known(name: str) -> None:
    assert is_git_spelling(name)


@pytest.mark.parametrize("name", [".gitignore", ".github", "git", "digit~1", "git~x", "a.git", ".gitx"])
def test_names_that_only_look_like_it_are_left_alone(name: str) -> None:
    assert not is_git_spelling(name)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/etc/passwd",
        "//etc/passwd",
        "/proc/self/environ",
        "/proc/1/environ",
        "../../proc/self/environ",
        "a/../../b",
        "..",
        "a/..",
        "file:///etc/passwd",
        "https://example.com/x",
        "a\0b",
        "\ud800",
        ".git/config",
        "src/.GIT/hooks/x",
        "a/git~1/config",
        "x" * (MAX_PATH_BYTES + 1),
    ],
)
def test_a_path_that_leaves_the_tree_or_names_git_is_refused(path: str) -> None:
    with pytest.raises(RefusedPath, match="not one that the tools may reach"):
        split(path)


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        (".", ()),
        ("./", ()),
        ("a//b/./c", ("a", "b", "c")),
        ("--output=x", ("--output=x",)),
        ("c:/x", None),
        ("a/b:c", ("a", "b:c")),
        ("...", ("...",)),
    ],
)
def test_a_plain_path_becomes_its_components(path: str, parts: tuple[str, ...] | None) -> None:
    if parts is None:
        with pytest.raises(RefusedPath):
            split(path)
    else:
        assert split(path) == parts


@given(st.text())
def test_what_passes_never_climbs(path: str) -> None:
    try:
        parts = split(path)
    except RefusedPath:
        return
    assert not {"", ".", "..", ".git"} & set(parts)
    assert not any("/" in part or "\0" in part for part in parts)


@pytest.mark.parametrize(
    "path",
    [
        ".github/workflows/x.yml",
        ".github",
        "sub/.github/x",
        ".vscode/settings.json",
        "a/.hidden/b",
        ".travis.yml",
        "ci/azure-pipelines.yml",
        "Jenkinsfile",
        ".pre-commit-config.yaml",
        ".npmrc",
        "gradle/wrapper/gradle-wrapper.properties",
        "requirements/dev.txt",
        "dev-requirements.txt",
        "CODEOWNERS",
        "docs/CODEOWNERS",
        "codeowners",
        "package-lock.json",
        "web/yarn.lock",
        "uv.lock",
        "Cargo.lock",
        "go.sum",
        "pyproject.toml",
        "requirements-dev.txt",
        "requirements.txt",
        "package.json",
        "x.gemspec",
        "AGENTS.md",
        "CLAUDE.md",
        ".cursorrules",
        ".gitattributes",
        ".gitmodules",
    ],
)
def test_what_only_people_may_change_is_refused_in_other_words(path: str) -> None:
    with pytest.raises(RefusedPath, match="protected"):
        check_writable(split(path))


@pytest.mark.parametrize("path", ["src/a.py", ".editorconfig", "docs/requirements.md", "lock.py"])
def test_ordinary_files_may_be_changed(path: str) -> None:
    check_writable(split(path))


@pytest.mark.parametrize("parts", [(), ("a\nb",), ("a\u202eb",), ("a", "\u200b.github", "x"), ("a\\b",)])
def test_the_root_and_names_that_git_or_people_misread_are_not_written(parts: tuple[str, ...]) -> None:
    with pytest.raises(RefusedPath, match="not one that"):
        check_writable(parts)


def test_the_root_itself_is_not_protected() -> None:
    assert not is_protected(())
