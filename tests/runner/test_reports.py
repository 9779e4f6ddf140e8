"""What is read out of the output of test runners, and what is taken for noise."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.runner.reports import Measure, failures, names, number_run, plain

PYTEST = """=================================== FAILURES ===================================
____________________________________ test_a ____________________________________

    def test_a():
        print("noise")
>       assert f()==6
E       assert 1 == 6
E        +  where 1 = f()

test_x.py:5: AssertionError
----------------------------- Captured stdout call -----------------------------
noise 12
_______________________________ TestA.test_b[1] ________________________________

    def test_b(self,p):
E       AssertionError: assert {'b': 1} == {'b': 3}

test_x.py:9: AssertionError
=========================== short test summary info ============================
FAILED test_x.py::test_a - assert 1 == 6
FAILED test_x.py::TestA::test_b[1] - AssertionError: assert {'b': 1} ...
ERROR test_y.py - RuntimeError: no
========================== 3 failed, 4 passed in 1.37s ==========================
"""
UNITTEST = """F.F
======================================================================
FAIL: test_one (tests.test_a.A.test_one) [../x]
----------------------------------------------------------------------
Traceback (most recent call last):
  File "/work/tests/test_a.py", line 6, in test_one
    self.assertEqual(6, total())
    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^
AssertionError: Lists differ: [1] != [2]

First differing element 0:
1
2

- [1]
+ [2]

======================================================================
ERROR: test_two (tests.test_a.A.test_two)
----------------------------------------------------------------------
Traceback (most recent call last):
  File "/work/shop/basket.py", line 61, in put
    raise KeyError(item)
KeyError: 'rye'

----------------------------------------------------------------------
Ran 3 tests in 0.001s

FAILED (failures=1, errors=1)
"""
NODE = """TAP version 13
# Subtest: adds
not ok 1 - adds
  ---
  duration_ms: 40.975283
  location: '/work/a.test.js:2:1'
  error: |-
    Expected values to be strictly equal:

    1 !== 2

  stack: |-
    TestContext.<anonymous> (/work/a.test.js:2:25)
    node:internal/test_runner/harness:255:12
  ...
# Subtest: ok
ok 2 - ok
# tests 2
# skipped 1
"""
SPEC = """\u2714 ok (0.1ms)
\u2716 adds (1.2ms)
  AssertionError [ERR_ASSERTION]: 1 !== 2
      at TestContext.<anonymous> (file:///work/a.test.js:5:10)
"""
JEST = """FAIL ./a.test.js
  \u25cf math \u203a adds

    expect(received).toBe(expected) // Object.is equality

    Expected: 3
    Received: 4

      3 | test('adds', () => {
    > 4 |   expect(add(1, 2)).toBe(3)
        |                     ^

      at Object.<anonymous> (a.test.js:4:20)

Tests:       1 failed, 2 passed, 3 total
"""
GO = """--- FAIL: TestOne (0.00s)
    --- FAIL: TestOne/small (0.00s)
        one_test.go:7: got 1, want 2
FAIL
exit status 1
FAIL	example.com/one	0.002s
"""
GO_LONG = """=== RUN   TestOne
    one_test.go:7: got 1, want 2
--- FAIL: TestOne (0.00s)
=== RUN   TestTwo
    two_test.go:3: by the way 5
--- PASS: TestTwo (0.00s)
FAIL
"""
CARGO = """running 2 tests
test tests::adds ... FAILED
test tests::ok ... ok

failures:

---- tests::adds stdout ----
thread 'tests::adds' (4711) panicked at src/lib.rs:5:9:
assertion `left == right` failed
  left: 1
 right: 2

failures:
    tests::adds

test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
"""
MYPY = "a.py:3: error: Incompatible types\nb.py:9:1: E501 line too long (120)\na.py:4: note: see there\n"


LISTS = ("AssertionError: Lists differ: [1] != [2]", "First differing element 0:")


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (
            PYTEST,
            {
                ("_" * 36 + " test_a", "assert 1 == 6\n+  where 1 = f()"),
                ("_" * 31 + " TestA.test_b[1]", "AssertionError: assert {'b': 1} == {'b': 3}"),
                ("FAILED test_x.py::test_a", "assert 1 == 6"),
                ("FAILED test_x.py::TestA::test_b[1]", "AssertionError: assert {'b': 1} ..."),
                ("ERROR test_y.py", "RuntimeError: no"),
            },
        ),
        (
            UNITTEST,
            {
                (
                    "FAIL: test_one (tests.test_a.A.test_one) [../x]",
                    "\n".join([*LISTS, "1", "2", "- [1]", "+ [2]"]),
                ),
                ("ERROR: test_two (tests.test_a.A.test_two)", "KeyError: 'rye'"),
            },
        ),
        (SPEC, {("\u2716 adds", "AssertionError [ERR_ASSERTION]: 1 !== 2")}),
        (
            GO,
            {("--- FAIL: TestOne", ""), ("--- FAIL: TestOne/small", "one_test.go:? got 1, want 2")},
        ),
        (GO_LONG, {("--- FAIL: TestOne", "one_test.go:? got 1, want 2")}),
        (MYPY, {("a.py", "error: Incompatible types"), ("b.py", "E501 line too long (120)")}),
        ("panic: boom\n", {("panic:", "boom")}),
        ("nothing of note\n", {("", "nothing of note")}),
        ("", {("", "")}),
    ],
)
def test_each_failure_is_read_with_its_text_and_without_the_way_there(
    output: str, expected: set[tuple[str, str]]
) -> None:
    found = failures(output)
    assert {(name, text.replace(":?:", ":?")) for name, text in found} == expected
    assert set(found.values()) == {1}


@pytest.mark.parametrize(
    ("output", "old", "new"),
    [
        (PYTEST, "assert 1 == 6\nE", "assert 2 == 6\nE"),
        (UNITTEST, "[1] != [2]", "[1] != [3]"),
        (UNITTEST, "'rye'", "'bread'"),
        (NODE, "1 !== 2", "1 !== 3"),
        (SPEC, "1 !== 2", "1 !== 3"),
        (JEST, "Received: 4", "Received: 5"),
        (GO, "got 1", "got 3"),
        (GO_LONG, "got 1", "got 3"),
        (CARGO, "left: 1", "left: 3"),
        (MYPY, "Incompatible", "Other"),
        ("1 products, 2 on a page\n", "1 products", "2 products"),
        ("expected 3 seconds, got 5 seconds\n", "got 5", "got 6"),
    ],
)
def test_a_changed_error_text_is_another_failure_of_the_same_name(output: str, old: str, new: str) -> None:
    assert old in output
    assert not failures(output.replace(old, new)) <= failures(output)
    assert names(output.replace(old, new)) == names(output)


@pytest.mark.parametrize(
    ("output", "old", "new"),
    [
        (PYTEST, "test_x.py:5:", "test_x.py:55:"),
        (PYTEST, "noise 12", "noise 13"),
        (PYTEST, "1.37s", "9.99s"),
        (UNITTEST, "line 61", "line 66"),
        (UNITTEST, "raise KeyError(item)", "raise KeyError(product)"),
        (UNITTEST, "0.001s", "2.5s"),
        (NODE, "40.975283", "1.2"),
        (NODE, "a.test.js:2:25", "a.test.js:99:2"),
        (NODE, "not ok 1", "not ok 7"),
        (SPEC, "(1.2ms)", "(17.031ms)"),
        (JEST, "a.test.js:4:20", "a.test.js:5:20"),
        (JEST, "> 4 |", "> 5 |"),
        (GO, "one_test.go:7", "one_test.go:8"),
        (GO_LONG, "by the way 5", "by the way 6"),
        (CARGO, "(4711)", "(4712)"),
        (CARGO, "src/lib.rs:5:9", "src/lib.rs:6:9"),
        (MYPY, "a.py:3", "a.py:4"),
        (MYPY, "see there", "see here"),
        ("bad <A object at 0x7f00ab>\n", "0x7f00ab", "0x7f00ff"),
        ("bad /tmp/a1/x.py\n", "/tmp/a1", "/tmp/b2"),
        ("took 3 seconds\n", "3 seconds", "12 seconds"),
        ("2026-01-01 10:00:00,123 bad\n", "10:00:00,123", "11:11:11,001"),
        ("bad\n", "bad", "\x1b[31mbad\x1b[0m"),
    ],
)
def test_noise_makes_no_difference(output: str, old: str, new: str) -> None:
    assert old in output
    assert failures(output.replace(old, new)) == failures(output)


LINES = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=40)
    | st.sampled_from(
        [line for text in (PYTEST, UNITTEST, NODE, JEST, GO_LONG, CARGO) for line in text.split("\n")]
    )
    | st.from_regex(r"[\w./]{0,8}(:\d+){0,3} (at 0x[0-9a-f]{1,12}|/tmp/\w+|\d+\.\d{1,5} ?s)", fullmatch=True),
    max_size=12,
)


@given(LINES)
def test_what_is_plain_stays_plain(lines: list[str]) -> None:
    once = plain(lines)
    assert plain(once.split("\n")) == once


@given(LINES)
def test_any_output_can_be_read_and_is_its_own_old_failure(lines: list[str]) -> None:
    output = "\n".join(lines)
    for measure in Measure:
        assert failures(output, measure) <= failures(output, measure)
    number_run(output)


@given(
    st.integers(1, 999), st.integers(0, 10**12), st.floats(0, 99), st.from_regex(r"\w{1,8}", fullmatch=True)
)
def test_lines_addresses_times_and_temporary_names_are_no_part_of_a_failure(
    line: int, address: int, seconds: float, name: str
) -> None:
    def output(at: int, where: int, length: float, folder: str) -> str:
        text = UNITTEST.replace("line 6,", f"line {at},").replace("0.001s", f"{length:.3f}s")
        return text.replace("'rye'", f"<A object at {where:#x}> in '/tmp/{folder}/x' after {length:.4f} s")

    assert failures(output(line, address, seconds, name)) == failures(output(1, 1, 1, "a"))


@given(st.integers(), st.integers())
def test_two_values_are_never_the_same_failure(one: int, other: int) -> None:
    def output(value: int) -> str:
        return UNITTEST.replace("[1] != [2]", f"6 != {value}")

    assert (failures(output(one)) == failures(output(other))) is (one == other)


def test_one_line_beyond_all_measure_is_still_compared_to_its_end() -> None:
    long = "x" * 1_000_000
    assert failures(long + "a") != failures(long + "b")
    assert len(next(iter(failures(long)))[1]) < 3_000


@pytest.mark.parametrize(
    ("output", "count"),
    [
        (UNITTEST, 3),
        (UNITTEST.replace("errors=1)", "errors=1, skipped=2)"), 1),
        (PYTEST, 7),
        (NODE, 1),
        (JEST, 3),
        ("no word of it", None),
        ("5 passed, 2 skipped in 0.1s", 5),
    ],
)
def test_tests_are_counted_as_the_runner_counts_them(output: str, count: int | None) -> None:
    assert number_run(output) == count


def test_words_and_names_are_coarser_measures() -> None:
    mixed = UNITTEST.replace("[1] != [2]", "[2] != [1]")
    assert failures(mixed) != failures(UNITTEST)
    assert failures(mixed, Measure.WORDS) == failures(UNITTEST, Measure.WORDS)
    other = UNITTEST.replace("[1] != [2]", "[2] != [7]")
    assert failures(other, Measure.WORDS) != failures(UNITTEST, Measure.WORDS)
    assert failures(other, Measure.NAME) == failures(UNITTEST, Measure.NAME)
    assert failures("a b", Measure.NAME) == failures("b a", Measure.NAME) != failures("b c", Measure.NAME)
