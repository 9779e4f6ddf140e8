"""Which changed files decide what tests say, and whether people have asked for a change of tests."""

import pytest

from bot.domain.values import FileChange
from bot.runner.weakened import changed, deciding, inline, is_asked_for
from tests.runner.test_last_look import change


def made(path: str) -> FileChange:
    return change(path, "x = 1\n", "x = 2\n")


@pytest.mark.parametrize(
    "path",
    [
        "tests/test_a.py",
        "tests/__init__.py",
        "tests/data/numbers.json",
        "conftest.py",
        "src/conftest.py",
        "pytest.ini",
        "tox.ini",
        "jest.config.js",
        "Makefile",
        "sitecustomize.py",
        "unittest.py",
        "unittest/__init__.py",
        "pytest.py",
        "a_test.go",
        "a.test.ts",
        "pkg/testdata/golden.txt",
        "src/__snapshots__/a.snap",
    ],
)
@pytest.mark.parametrize("is_new", [True, False])
def test_tests_their_expectations_and_what_collects_them_decide(path: str, is_new: bool) -> None:
    each = change(path, None if is_new else "x\n", "y\n")
    assert deciding([each], ["make test"]) == (path,)
    assert changed([each]) == (() if is_new else (path,))


@pytest.mark.parametrize(
    "path", ["shop/basket.py", "README.md", "src/contest.py", "latest.py", "shop/check.py"]
)
def test_the_code_itself_decides_nothing(path: str) -> None:
    assert deciding([made(path)], ["python -m unittest"]) == ()
    assert changed([made(path)]) == ()


@pytest.mark.parametrize(
    ("command", "path", "decides"),
    [
        ("python3 -m catalogue.check", "catalogue/check.py", True),
        ("./scripts/run.sh --all", "scripts/run.sh", True),
        ("sh -c 'python check_all.py'", "check_all.py", True),
        ("python -m unittest discover -s checks", "checks/a.py", True),
        ("python -m doctest prices.py", "prices.py", False),
        ("python -m shop", "shop/__main__.py", False),
        ("python shop.py && echo", "shop.py", False),
    ],
)
def test_a_program_that_the_command_runs_decides_if_its_name_says_that_it_checks(
    command: str, path: str, decides: bool
) -> None:
    assert deciding([made(path)], [command]) == ((path,) if decides else ())


RUST = (
    "fn f() -> u8 { 1 }\n\n#[cfg(test)]\nmod t {\n    #[test]\n    fn is_two() { assert_eq!(f(), 2); }\n}\n"
)


def test_what_tests_beside_the_code_expect_is_seen_when_it_goes() -> None:
    assert inline([change("a.rs", RUST, RUST.replace("(), 2", "(), 1"))]) == ["a.rs:6"]
    assert inline([change("a.rs", RUST, RUST.replace("{ 1 }", "{ 2 }"))]) == []
    assert inline([change("a.rs", "fn f() { assert!(x); }\n" + RUST, "fn f() {}\n" + RUST)]) == []
    doc = '"""\n>>> f(1)\n2\n"""\n'
    assert inline([change("a.py", doc, doc.replace("f(1)", "f(2)"))]) == ["a.py:2"]
    assert inline([change("a.py", doc, doc + "x = 1\n")]) == []
    assert inline([change("tests/test_a.py", doc, "")]) == []


@pytest.mark.parametrize(
    "words",
    [
        "The test is wrong: it expects 1.26.",
        "test_half_a_cent is right, but the expected value is outdated",
        "Please update the tests to the new rounding",
        "remove the flaky test of the sensor",
        "This is a stale\nsnapshot.",
        "The tests themselves are wrong.",
    ],
)
def test_a_request_about_tests_is_known_by_its_words(words: str) -> None:
    assert is_asked_for(words)


@pytest.mark.parametrize(
    "words",
    [
        "test_two_baskets_are_apart fails",
        "The tests fail, and the sum is wrong",
        "Fix the failing test",
        "Make the tests pass; do not change the tests.",
        "Please don't remove the test",
        "never skip tests",
        "the result is wrong in the test suite",
        "It shows wrong test results",
        "You don\u2019t change the tests",
        "",
    ],
)
def test_a_request_that_only_speaks_of_tests_does_not_ask_to_change_them(words: str) -> None:
    assert not is_asked_for(words)
