"""`.github/issuewright.yml`: what is read, and that nothing in it does harm."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.domain.repo_config import LATER_KEYS, MAX_BYTES, MAX_COMMAND_CHARS, parse
from bot.domain.values import RepositoryConfig


@pytest.mark.parametrize(
    ("text", "commands"),
    [
        ("verify: make test", ("make test",)),
        ("verify: 'make: test'", ("make: test",)),
        ("verify:\n  - ruff check\n  - python -m unittest\n", ("ruff check", "python -m unittest")),
        ("verify: [a, b]", ("a", "b")),
        ("verify: |\n  make test\n", ("make test",)),
        ("verify: >\n  make\n  test\n", ("make test",)),
        ('verify: "true"', ("true",)),
        ("verify: DATABASE_URL=sqlite:///x.db pytest", ("DATABASE_URL=sqlite:///x.db pytest",)),
        ("verify: x" + "x" * (MAX_COMMAND_CHARS - 1), ("x" * MAX_COMMAND_CHARS,)),
        ("verify: [1x, 2x, 3x, 4x, 5x, 6x, 7x, 8x, 9x, 10x]", tuple(f"{n}x" for n in range(1, 11))),
        ("\ufeffverify: a", ("a",)),
        ("verify: prüfe alles", ("prüfe alles",)),
        ("verify:", ()),
        ("verify: ~", ()),
        ("verify: []", ()),
        ("", ()),
        ("# nothing yet\n", ()),
        ("---\n", ()),
    ],
)
def test_a_sound_file_is_read_without_a_problem(text: str, commands: tuple[str, ...]) -> None:
    assert parse(text.encode()) == RepositoryConfig(verify=commands)


def test_preparation_and_exclusion_are_read_like_verification() -> None:
    text = "prepare: make deps\nverify: make\nexclude:\n- '*.pem'\n- /private/\n- 'docs/**/[a-c]?.md'\n"
    assert parse(text.encode()) == RepositoryConfig(
        verify=("make",), prepare=("make deps",), exclude=("*.pem", "/private/", "docs/**/[a-c]?.md")
    )
    assert parse(b"exclude: secrets\nprepare:").exclude == ("secrets",)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("exclude: [a, 7, b]", "line 1: a glob of `exclude` must be text; put it in quotes"),
        ("exclude: [a, [c], b]", "line 1: a glob of `exclude` must be text; put it in quotes"),
        ("exclude: [a, '/', b]", "line 1: a glob of `exclude` must have 1 to 200 printable characters"),
        (
            f"exclude: [a, {'x' * 201}, b]",
            "line 1: a glob of `exclude` must have 1 to 200 printable characters",
        ),
        ('exclude: [a, "x\\ny", b]', "line 1: a glob of `exclude` must have 1 to 200 printable characters"),
        ("exclude: [a, '!x', b]", "line 1: a glob of `exclude` must not begin with `!` or hold `..`"),
        ("exclude: [a, x/../y, b]", "line 1: a glob of `exclude` must not begin with `!` or hold `..`"),
        ("exclude: [a, '[z-a]', b]", "line 1: a glob of `exclude` is not well formed"),
    ],
)
def test_a_faulty_glob_falls_away_alone_since_the_others_still_hide(text: str, problem: str) -> None:
    assert parse(text.encode()) == RepositoryConfig(exclude=("a", "b"), problems=(problem,))


def test_too_many_globs_are_cut_and_said() -> None:
    found = parse(f"exclude: [{', '.join(f'g{n}' for n in range(51))}]".encode())
    assert found.exclude == tuple(f"g{n}" for n in range(50))
    assert found.problems == ("line 1: `exclude` may hold at most 50 globs; the first ones count",)


def test_a_faulty_preparation_is_none_and_leaves_the_rest() -> None:
    found = parse(b"prepare: [a, 7]\nverify: b\n")
    assert found == RepositoryConfig(
        verify=("b",), problems=("line 1: a `prepare` command must be text; put it in quotes",)
    )


def test_a_repository_without_the_file_has_the_defaults() -> None:
    assert parse(None) == RepositoryConfig()


def test_keys_that_are_read_elsewhere_are_no_problem() -> None:
    assert parse("".join(f"{key}: x\n" for key in sorted(LATER_KEYS)).encode()) == RepositoryConfig()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"verify: true", "line 1: a `verify` command must be text; put it in quotes"),
        (b"\nverify: 12", "line 2: a `verify` command must be text; put it in quotes"),
        (b"verify: 2023-99-99", "line 1: a `verify` command must be text; put it in quotes"),
        (b"verify: {run: x}", "line 1: a `verify` command must be text; put it in quotes"),
        (b"verify:\n- a\n- [b]\n", "line 3: a `verify` command must be text; put it in quotes"),
        (b"verify:\n- a\n-\n", "line 3: a `verify` command must be text; put it in quotes"),
        (b'verify: ""', "line 1: a `verify` command must have 1 to 500 characters"),
        (b"verify: x" + b"x" * 500, "line 1: a `verify` command must have 1 to 500 characters"),
        (b"verify: |\n  a\n  b\n", "line 1: a `verify` command must be one line; use a list for several"),
        (b'verify: "a\\0b"', "line 1: a `verify` command must be one line; use a list for several"),
        (b'verify: "a\\x1bb"', "line 1: a `verify` command must be one line; use a list for several"),
        (b'verify: "a\\u2028b"', "line 1: a `verify` command must be one line; use a list for several"),
        (b"verify: [a,b,c,d,e,f,g,h,i,j,k]", "line 1: `verify` may hold at most 10 commands"),
        (
            b"verify: curl https://example.com",
            "line 1: URLs are not allowed; a `verify` command has no network",
        ),
    ],
)
def test_a_faulty_verify_is_not_used_at_all_and_said(text: bytes, problem: str) -> None:
    assert parse(text) == RepositoryConfig(problems=(problem,))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"verify: a\nverfy: b", "line 2: unknown key `verfy`"),
        (b"verify: a\n1: b", "line 2: unknown key `1`"),
        (b"verify: a\n? [x]\n: b", "line 2: unknown key ``"),
        (b"verify: a\n'`@all\\`': b", "line 2: unknown key `'@all\\'`"),
        (b"verify: a\nverify: b", "line 2: `verify` stands there twice; the first one counts"),
        (b"verify: a\nreview: {guide: [x, 'HTTPS://example.com']}", "line 2: URLs are not allowed"),
        (b"verify: a\nreview: {? 'git://example.com' : x}", "line 2: URLs are not allowed"),
    ],
)
def test_a_mistake_elsewhere_is_said_and_the_rest_stands(text: bytes, problem: str) -> None:
    assert parse(text) == RepositoryConfig(verify=("a",), problems=(problem,))


def test_problems_are_counted_out() -> None:
    assert len(parse(b"".join(b"k%d: x\n" % number for number in range(500))).problems) == 20


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"verify: \xff", "the file is not UTF-8 text"),
        (b"verify: \x00", "the file holds characters that YAML does not allow"),
        (b"verify: a: b", "line 1: mapping values are not allowed here"),
        (b"verify: [a", "line 1: expected ',' or ']', but got '<stream end>'"),
        (b"verify: `a`", "line 1: found character ''' that cannot start any token"),
        (b"--- {verify: a}\n--- {verify: b}", "line 2: but found another document"),
        (b"make test", "the file must hold keys and values, such as `verify: make test`"),
        (b"- make test", "the file must hold keys and values, such as `verify: make test`"),
        (b"verify: &a [x]\nprepare: *a", "aliases (`*name`) and tags (`!name`) are not allowed"),
        (
            b"verify: !!python/object/apply:os.system [id]",
            "aliases (`*name`) and tags (`!name`) are not allowed",
        ),
        (b"verify: !x y", "aliases (`*name`) and tags (`!name`) are not allowed"),
        (b"x" * (MAX_BYTES + 1), "the file is larger than 65536 bytes"),
        (b"[" * MAX_BYTES, "the file is nested too deeply, or holds too many values"),
        (b"{a: " * (MAX_BYTES // 4), "the file is nested too deeply, or holds too many values"),
        (b"- " * (MAX_BYTES // 2), "the file is nested too deeply, or holds too many values"),
        (b"verify: [" + b"a," * 30_000 + b"]", "the file is nested too deeply, or holds too many values"),
    ],
)
def test_a_file_that_cannot_be_trusted_is_not_used_at_all(text: bytes, problem: str) -> None:
    assert parse(text) == RepositoryConfig(problems=(problem,))


def test_an_alias_bomb_costs_nothing() -> None:
    bomb = "a0: &a0 [x,x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1},*a{n - 1},*a{n - 1}]\n" for n in range(1, 60))
    started = time.process_time()
    assert parse(bomb.encode()).verify == ()
    assert time.process_time() - started < 1.0


@given(
    st.lists(
        st.sampled_from(
            [
                "verify",
                "prepare",
                ":",
                ": ",
                "- ",
                "\n",
                "\n  ",
                "[",
                "]",
                "{",
                "}",
                ",",
                "|",
                ">",
                "&a",
                "*a",
            ]
        )
        | st.sampled_from(
            ["!x ", "!!int ", "? ", "#", "'", '"', "\\", "%YAML 1.1\n", "---", "...", "~", "0x_", "=", "<<"]
        )
        | st.sampled_from(
            ["2023-99-99", "1:1.0", "\t", "\0", "\ufeff", "\x85", "https://x", "9" * 50, "@", "`"]
        )
        | st.text(max_size=5),
        max_size=40,
    ).map("".join)
)
@settings(max_examples=1_000, deadline=None)
def test_no_text_makes_it_raise(text: str) -> None:
    found = parse(text.encode("utf-8", "surrogatepass"))
    assert len(found.verify) <= 10
    assert all("\n" not in said for said in (*found.verify, *found.problems))


@given(st.binary(max_size=200))
def test_no_bytes_make_it_raise(raw: bytes) -> None:
    parse(raw)


@pytest.mark.parametrize(
    "piece", ["a: ", "a ", "'", '"', "a: b\n", "? ", "&a ", "!x ", "#", "\n", " ", "- a\n", "|\n", "%", "a,"]
)
def test_hostile_repetition_is_read_quickly(piece: str) -> None:
    started = time.process_time()
    parse((piece * MAX_BYTES)[:MAX_BYTES].encode())
    parse(("verify: " + piece * MAX_BYTES)[:MAX_BYTES].encode())
    assert time.process_time() - started < 5.0
