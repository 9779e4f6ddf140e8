"""The words that people read, to the letter, and what cannot break out of them."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from bot.domain.enums import Cause, Tier, When
from bot.publish import render
from bot.publish.render import Check
from bot.publish.surface import Allowed, acts

REMEDY = "install bubblewrap and start the worker again"


def _check(
    when: When = When.AFTER, exit_code: int | None = 0, command: str = "make test", reason: str = ""
) -> Check:
    tier = Tier.NONE if exit_code is None else Tier.SANDBOX
    return Check(command, when, exit_code, 2_140, tier, reason)


BEFORE_AND_AFTER = [_check(When.BEFORE, 1), _check(When.AFTER, 0)]


def _result(**more: object) -> str:
    facts: dict[str, object] = {
        "outcome": Cause.PULL_REQUEST,
        "agent": "code.fix",
        "requester": "maria",
        "sentence": "",
        "summary": "The parser dropped the last line; it keeps it now.",
        "analysis": None,
        "pull": "#12",
        "checks": BEFORE_AND_AFTER,
        "sandbox_remedy": "",
        "diff": None,
        "job_id": "01JOB",
        "next_step": "Review the draft.",
        **more,
    }
    made: Callable[..., str] = render.result_comment
    return made(**facts)


def _pull(**more: object) -> str:
    facts: dict[str, object] = {
        "number": 7,
        "summary": "Keep the last line.",
        "checks": BEFORE_AND_AFTER,
        "sandbox_remedy": "",
        "files": 1,
        "added": 2,
        "removed": 3,
        "job_id": "01JOB",
        "requester": "maria",
        "pre_existing_failures": False,
        **more,
    }
    made: Callable[..., str] = render.pull_body
    return made(**facts)


def test_the_living_comment_says_what_happens_and_for_whom() -> None:
    assert render.living_comment(agent="code.fix", requester="maria", step="reading the issue") == (
        "**Working on it** for `maria`: reading the issue\n\n"
        "This comment becomes the result.\n\n"
        "<sub>Issuewright · agent `code.fix` · written by a machine</sub>"
    )


def test_a_result_names_the_pull_request_the_record_and_the_next_step() -> None:
    assert _result() == (
        "**Draft pull request #12 is ready for review.**\n\n"
        "The parser dropped the last line; it keeps it now.\n\n"
        "| Command | Before the change | After the change |\n"
        "| --- | --- | --- |\n"
        "| `make test` | ❌ failed, exit 1, 2.1 s, sandbox | ✅ passed, exit 0, 2.1 s, sandbox |\n\n"
        "**Next:** Review the draft.\n\n"
        "<sub>Issuewright · job `01JOB` · asked by `maria` · written by a machine</sub>"
    )


@pytest.mark.parametrize("cause", list(Cause))
def test_every_cause_has_words_of_its_own(cause: Cause) -> None:
    headline = _result(outcome=cause).split("\n")[0]
    assert headline.startswith("**") and headline.endswith(".**") and "{" not in headline
    failure = render.failure_comment(cause=cause, sentence="Why.", done="", next_step="", job_id="1")
    assert f"cause `{cause.value}`" in failure


def test_a_failure_says_why_what_was_done_and_what_to_do_next() -> None:
    text = render.failure_comment(
        cause=Cause.MODEL_ERROR,
        sentence="The model answered\nnonsense.",
        done="Nothing was changed.",
        next_step="`/agent fix` tries again.",
        job_id="01JOB",
    )
    assert text == (
        "**The model could not finish this.** The model answered nonsense.\n\n"
        "Nothing was changed.\n\n"
        "**Next:** `/agent fix` tries again.\n\n"
        "<sub>Issuewright · job `01JOB` · cause `model_error` · written by a machine</sub>"
    )


@pytest.mark.parametrize("exit_code", [1, 2, 124, -9, None])
def test_nothing_is_green_that_did_not_run_and_end_with_zero(exit_code: int | None) -> None:
    text = _result(checks=[_check(exit_code=exit_code, reason="no sandbox here")], sandbox_remedy=REMEDY)
    assert "✅" not in text and "passed" not in text
    assert (text.count("⚪ not run") == 2) == (exit_code is None)


def test_a_zero_without_a_place_where_it_ran_is_not_green() -> None:
    assert "✅" not in render.verification([Check("make test", When.AFTER, 0, 5, Tier.NONE, "")], "")


def test_a_zero_that_counts_as_a_failure_is_not_green_and_says_why() -> None:
    reason = "fewer tests ran than before the change: 3 of 5"
    checks = [_check(When.BEFORE, 1), _check(reason=reason)]
    text = render.verification(checks, REMEDY)
    assert "✅" not in text and "❌ failed, exit 0, 2.1 s" in text
    assert text.endswith(f"Failed after the change: {reason}")


def test_what_did_not_run_says_why_and_the_remedy_once() -> None:
    checks = [_check(when, None, reason="the escape probe failed") for when in When]
    text = render.verification(checks, REMEDY)
    assert text.count("Not run: the escape probe failed") == 1 and text.endswith(f"Remedy: {REMEDY}")
    assert text.count("⚪ not run") == 2


def test_what_did_not_run_without_a_reason_says_that() -> None:
    assert render.verification([_check(exit_code=None)], "").endswith("Not run: no reason was recorded.")


def test_without_commands_the_record_says_that_nothing_ran() -> None:
    for text in (_result(checks=[]), _pull(checks=[]), _result(checks=[], pull=None, diff="+x")):
        assert "Not verified" in text and "✅" not in text


def test_an_answer_without_a_change_speaks_of_no_verification() -> None:
    text = _result(outcome=Cause.NO_CHANGE_NEEDED, pull=None, checks=[], analysis="It is as it should be.")
    assert "verif" not in text and "It is as it should be." in text


def test_the_same_words_are_not_said_twice() -> None:
    assert _result(summary="Same.", analysis="Same.").count("Same.") == 1


def test_a_pull_request_says_what_why_how_it_was_checked_and_its_limits() -> None:
    assert _pull() == (
        "### What and why\n\nKeep the last line.\n\n"
        "### Verification\n\n"
        "| Command | Before the change | After the change |\n"
        "| --- | --- | --- |\n"
        "| `make test` | ❌ failed, exit 1, 2.1 s, sandbox | ✅ passed, exit 0, 2.1 s, sandbox |\n\n"
        "### Limits\n\n"
        "- 1 file changed, 2 lines added, 3 removed.\n"
        "- Written by a language model at the request of `maria`: read it before you merge it.\n\n"
        "Closes #7\n\n"
        "<sub>Issuewright · job `01JOB` · written by a machine</sub>"
    )


def test_failures_that_were_there_before_are_said_first() -> None:
    limits = _pull(pre_existing_failures=True, files=2).split("### Limits\n\n")[1]
    assert limits.startswith("- **Failures that were there before remain**") and "2 files changed" in limits


def test_tests_that_the_change_touches_are_named_first() -> None:
    limits = _pull(changed_tests=["tests/test_a.py", "`@maria`.py"]).split("### Limits\n\n")[1]
    assert limits.startswith(
        "- **Tests that were there before are changed**: `tests/test_a.py`, `` `@maria`.py ``."
    )


def test_a_commit_carries_our_trailers_and_names_the_issue_without_a_reference() -> None:
    message = render.commit_message(
        title="Keep the last\nline", number=7, job_id="01JOB", requester_login="maria", requester_id=5
    )
    assert message == (
        "Keep the last line\n\nRequested in issue 7.\n\nIssuewright-Job: 01JOB\n"
        "Co-authored-by: maria <5+maria@users.noreply.github.com>\n"
    )


def test_a_login_cannot_bring_a_trailer() -> None:
    message = render.commit_message(
        title="x", number=7, job_id="1\nFixes: 2", requester_login="a>\nSigned-off-by: b <c", requester_id=5
    )
    assert message.count("\n") == 6 and "Signed-off-by:" not in message
    assert render.living_comment(agent="x", requester="", step="y").startswith(
        "**Working on it** for `somebody`"
    )


def test_the_help_lists_each_command_and_who_may_use_it() -> None:
    commands = [("fix [words]", "Change the code | open a draft", "write"), ("help", "This text", "anybody")]
    text = render.help_comment(prefix="/agent", commands=commands, problem=None)
    assert "| `/agent fix [words]` | Change the code \\| open a draft | write |" in text
    assert "for example `/agent fix [words]`." in text and "do not know" not in text


def test_an_unknown_command_is_shown_as_it_was_written() -> None:
    text = render.help_comment(prefix="/agent", commands=[], problem="/agent fxi\n       ^\n```\n@bob")
    assert "````text\n/agent fxi\n       ^\n```\n@bob\n````" in text and "for example `/agent help`" in text


def test_a_patch_is_folded_behind_its_result() -> None:
    text = _result(outcome=Cause.VERIFY_FAILED, pull=None, diff="--- a/x\n+++ b/x\n+```\n+@bob\n")
    assert "<details><summary>The change as a patch</summary>\n\n````diff\n--- a/x" in text
    assert text.index("</details>") < text.index("**Next:**")


@pytest.mark.parametrize("line", ["+" + "x" * 78 + "\n", "+" + "`" * 78 + "\n"])
def test_a_long_patch_is_clipped_at_a_line_and_says_so(line: str) -> None:
    text = _result(outcome=Cause.VERIFY_FAILED, pull=None, diff=line * 2_000)
    assert 60_000 < len(text) <= 65_000 and "The beginning of the change" in text
    assert text.count("<details>") == text.count("</details>") == 1


def test_where_a_patch_has_no_room_it_is_said() -> None:
    text = _result(pull=None, diff="+x\n" * 500, summary="word " * 12_900)
    assert "does not fit into a comment" in text and len(text) <= 65_000


def test_an_analysis_without_room_is_left_out_and_said() -> None:
    text = _result(summary="word " * 6_000, analysis="other " * 9_000)
    assert "full analysis does not fit" in text and "other" not in text and len(text) <= 65_000


def test_an_empty_patch_is_no_patch() -> None:
    assert "<details>" not in _result(diff=" \n")


@pytest.mark.parametrize(
    "words", ["@bob", "fixes #1", "![x](https://evil.example)", "<script>", "https://evil.example"]
)
def test_what_failed_or_explains_cannot_act(words: str) -> None:
    texts = [
        _result(
            pull=None,
            sentence=words,
            next_step=words,
            checks=[_check(exit_code=None, reason=words)],
            sandbox_remedy=words,
        ),
        render.failure_comment(cause=Cause.BUG, sentence=words, done=words, next_step=words, job_id=words),
        render.found_comment(pull="the first", requester=words, job_id=words),
        render.living_comment(agent=words, requester=words, step=words),
        _pull(requester=words, job_id=words),
    ]
    for text in texts:
        ours = text.replace("<sub>", "").replace("</sub>", "").replace("Closes #7", "")
        assert not acts(ours, Allowed())


@given(st.text())
def test_no_text_breaks_out_of_its_span_of_code(text: str) -> None:
    tokens = MarkdownIt("commonmark").parse(f"a {render.code(text)} b")
    children = tokens[1].children or []
    assert len(tokens) == 3
    kinds = [child.type for child in children]
    assert kinds in (["text", "code_inline", "text"], ["text"])
    assert kinds != ["text"] or children[0].content == "a (empty) b"


@given(st.text())
def test_no_text_breaks_out_of_its_cell_or_block(text: str) -> None:
    table = f"| a | b |\n| --- | --- |\n| {render.code(text, in_table=True)} | x |"
    cells = [one for one in MarkdownIt("commonmark").enable("table").parse(table) if one.type == "td_open"]
    assert len(cells) == 2
    assert [one.type for one in MarkdownIt("commonmark").parse(render.block(text, "diff"))] == ["fence"]


def test_a_long_word_is_clipped() -> None:
    assert render.code("x" * 500) == "`" + "x" * 199 + "…`"
