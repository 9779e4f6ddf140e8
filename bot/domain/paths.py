"""Which paths a tool may name, and which files only people may change; pure rules.

The `.git` spellings are those that git itself refuses on HFS+ and NTFS, and some more
(https://github.com/git/git/blob/v2.45.0/path.c `is_ntfs_dotgit`, `utf8.c` `is_hfs_dotgit`).
"""

import re
import unicodedata

MAX_PATH_BYTES = 4_000
REFUSED = (
    "Refused: this path is not one that the tools may reach. "
    "Use a plain relative path of a file inside the repository."
)
PROTECTED = (
    "Refused: this file is protected (continuous integration, hidden directories, owners, manifests, lock "
    "files and agent instructions). Only a person may change it; work without changing it."
)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_URL = re.compile(r"[a-z][a-z0-9+.-]*:/", re.IGNORECASE)
_SHORT_NAME = re.compile(r"git~\d+")
_HIDDEN_CATEGORIES = _words("Cc Cf Cs Co Cn Zl Zp")
_AGENT_INSTRUCTIONS = _words("""
    agents.md agent.md claude.md claude.local.md gemini.md codex.md copilot.md .cursorrules .windsurfrules
    .clinerules .goosehints .rules .aider.conf.yml
""")
_OWNERS = _words("codeowners .gitmodules .gitattributes .lfsconfig")
# What runs by itself on a branch, with the repository's secrets, and where packages come from.
_CONTINUOUS_INTEGRATION = _words("""
    .travis.yml .cirrus.yml .cirrus.star .drone.yml .drone.star .woodpecker.yml .woodpecker.yaml
    .gitlab-ci.yml .appveyor.yml appveyor.yml azure-pipelines.yml bitbucket-pipelines.yml buildspec.yml
    cloudbuild.yaml cloudbuild.yml jenkinsfile wercker.yml bitrise.yml codemagic.yaml .build.yml
    .pre-commit-config.yaml .pre-commit-hooks.yaml lefthook.yml lefthook.yaml .lefthook.yml .envrc
""")
_PACKAGE_SOURCES = _words("""
    .npmrc .yarnrc .yarnrc.yml .pnpmfile.cjs .pypirc pip.conf uv.toml pixi.toml .condarc .gemrc .netrc
    nuget.config directory.build.props directory.build.targets gradle-wrapper.properties gradle-wrapper.jar
""")
_MANIFESTS = _words("""
    pyproject.toml setup.py setup.cfg pipfile environment.yml environment.yaml package.json deno.json
    deno.jsonc bunfig.toml cargo.toml go.mod go.work gemfile composer.json pom.xml build.gradle
    build.gradle.kts settings.gradle settings.gradle.kts mix.exs pubspec.yaml package.swift conanfile.txt
    conanfile.py vcpkg.json build.zig.zon flake.nix rebar.config dub.json project.clj stack.yaml cpanfile
    directory.packages.props
""")
_LOCKS = _words("""
    package-lock.json npm-shrinkwrap.json pnpm-lock.yaml bun.lockb go.sum go.work.sum gradle.lockfile
    packages.lock.json package.resolved cartfile.resolved
""")
_PROTECTED_NAMES = frozenset().union(
    _AGENT_INSTRUCTIONS, _OWNERS, _CONTINUOUS_INTEGRATION, _PACKAGE_SOURCES, _MANIFESTS, _LOCKS
)
_MANIFEST_SHAPES = re.compile(
    r".*\.lock|[^/]*requirements[^/]*\.(txt|in)|constraints[^/]*\.txt|.*\.(gemspec|csproj|fsproj|vbproj|cabal|podspec)"
)


class RefusedPath(Exception):
    """A path that no tool may touch; its text is the sentence for the model."""


def split(path: str) -> tuple[str, ...]:
    """The components of a relative *path*; `.` and empty ones fall away, `()` is the root.

    Raises:
        RefusedPath: It is absolute, climbs, is a URL, names git's own directory, or is no clean text.
    """
    if not _is_clean(path) or path.startswith("/") or _URL.match(path):
        raise RefusedPath(REFUSED)
    parts = tuple(part for part in path.split("/") if part not in {"", "."})
    if any(part == ".." or is_git_spelling(part) for part in parts):
        raise RefusedPath(REFUSED)
    return parts


def is_git_spelling(component: str) -> bool:
    """Whether some file system would take *component* for `.git`."""
    if component.isascii() and component.isprintable() and "git" not in component.lower():
        return False
    for piece in component.split("\\"):
        name = unicodedata.normalize("NFKC", piece.split(":", 1)[0])
        visible = "".join(c for c in name if unicodedata.category(c) not in _HIDDEN_CATEGORIES)
        plain = visible.casefold().rstrip(" .")
        if plain == ".git" or _SHORT_NAME.fullmatch(plain):
            return True
    return False


def is_protected(parts: tuple[str, ...]) -> bool:
    """Whether only a person may change the file at *parts*."""
    if any(part.startswith(".") for part in parts[:-1]) or ".github" in parts:
        return True
    name = parts[-1].casefold() if parts else ""
    if name in _PROTECTED_NAMES or _MANIFEST_SHAPES.fullmatch(name):
        return True
    return "requirements" in parts[:-1] and name.endswith((".txt", ".in"))


def check_writable(parts: tuple[str, ...]) -> None:
    """Let a write or a delete at *parts* pass.

    Raises:
        RefusedPath: It is the root, protected, or its name holds invisible characters, or a backslash,
            which git takes for a separator on NTFS and so refuses everywhere (`core.protectNTFS`).
    """
    if not parts or any("\\" in part or _has_hidden_character(part) for part in parts):
        raise RefusedPath(REFUSED)
    if is_protected(parts):
        raise RefusedPath(PROTECTED)


def _is_clean(path: str) -> bool:
    try:
        size = len(path.encode("utf-8"))
    except UnicodeEncodeError:
        return False
    return 0 < size <= MAX_PATH_BYTES and "\0" not in path


def _has_hidden_character(part: str) -> bool:
    return any(unicodedata.category(character) in _HIDDEN_CATEGORIES for character in part)


def protected_reason(path: str) -> str | None:
    """Why *path* must not be published, or None: the same rules as for a write, at the last gate."""
    try:
        check_writable(split(path))
    except RefusedPath as refused:
        return str(refused)
    return None
