"""Hostile Markdown goes out inert (T-07, T-19, T-31; OUT-01 to OUT-07)."""

import gc
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.publish.sanitize import CLIPPED, sanitize, sanitize_commit, sanitize_title
from bot.publish.surface import Allowed, acts

OURS = "https://github.com/octo/pets/"
ALLOWED = Allowed(frozenset({"maria"}), (OURS,), 7)


def _safe(text: str) -> str:
    """*text* sanitized in a thread whose requester is maria; checked to be settled and to act nowhere."""
    found = sanitize(text, allowed_mentions=frozenset({"Maria"}), allowed_links=(OURS,), thread_number=7)
    assert not found.blocked and not acts(found.text, ALLOWED)
    again = sanitize(
        found.text, allowed_mentions=frozenset({"Maria"}), allowed_links=(OURS,), thread_number=7
    )
    assert again.text == found.text
    return found.text


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("ask @bob", "ask `@bob`"),
        ("(@bob)", "(`@bob`)"),
        ("@org/team-x please", "`@org/team-x` please"),
        ("@everyone", "`@everyone`"),
        ("thanks @maria and @Maria!", "thanks @maria and @Maria!"),
        ("@maria-x @maria_y @maria/z", "`@maria-x` `@maria_y` `@maria/z`"),
        ("**@bob** _@bob-x_", "**`@bob`** _`@bob-x_`"),
        ("\\@bob", "`@bob`"),
        ("\\\\\\\\\\\\\\@bob", "\\\\\\ `@bob`"),
        ("&#64;bob &#x40;bob &commat;bob", "&amp;`#64`;bob &amp;#x40;bob &amp;commat;bob"),
        ("\uff20bob \ufe6bbob", "`\uff20bob` `\ufe6bbob`"),
        ("@\u200bbob", "`@bob`"),
        ("mail a.b@evil.com", "mail `a.b@evil.com`"),
        ("`code`@bob", "`code` `@bob`"),
        ("\\`@bob\\`", "\\` `@bob`\\`"),
        ("@types/node @5 @ x", "`@types/node` `@5` @ x"),
    ],
)
def test_nobody_is_pinged_but_the_requester(text: str, safe: str) -> None:
    assert _safe(text) == safe


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("Fixes #1, closes org/other#2", "Fixes `#1`, closes `org/other#2`"),
        (
            "resolves https://github.com/octo/pets/issues/3",
            "resolves `https://github.com/octo/pets/issues/3`",
        ),
        ("GH-12 gh-3 bob#4 \\#5 #６", "`GH-12` `gh-3` `bob#4` `#5` `#６`"),
        ("see #7 and (#7)", "see #7 and (#7)"),
        ("fixes #7, Closes: #7, resolved **#7**", "fixes `#7`, Closes: `#7`, resolved **`#7`**"),
        ("Fixes\n#7", "Fixes\n`#7`"),
        ("#7 is this", "`#7` is this"),
        ("x/y.z#7 see x#7 #77", "`x/y.z#7` see `x#7` `#77`"),
        ("a heading # 7, C#, #x", "a heading # 7, C#, #x"),
    ],
)
def test_nothing_is_closed_and_only_the_own_thread_is_referred_to(text: str, safe: str) -> None:
    assert _safe(text) == safe


def test_without_a_thread_no_number_is_a_reference() -> None:
    assert sanitize("see #7").text == "see `#7`"


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("/approve", "`/approve`"),
        ("  \\/merge now", "  `/merge` now"),
        ("> /close\n- /lgtm\n1. /hold", "> `/close`\n- `/lgtm`\n1. `/hold`"),
        ("/agent fix this", "`/agent` fix this"),
        ("/a`b`", "`/a` `b`"),
        ("and /approve, 1/2", "and /approve, 1/2"),
        ("@dependabot merge", "`@dependabot` merge"),
        ("bors r+ and bors: try", "`bors r+` and `bors: try`"),
        ("ok to test, retest this please", "`ok to test`, `retest this please`"),
        ("bors retired", "bors retired"),
    ],
)
def test_no_other_bot_takes_a_command_from_us(text: str, safe: str) -> None:
    assert _safe(text) == safe


# T-19 and OUT-04: ways to make a page load or lead to somewhere else.
OUTSIDE = [
    "![x](https://evil.example/a.png)",
    '![x](https://evil.example/a.png "title")',
    "![x][r]\n\n[r]: https://evil.example/a.png",
    "![r]\n\n[r]: //evil.example/a.png",
    "[click](https://evil.example)",
    "[click](//evil.example/x)",
    "[click](<https://evil.example> 'x')",
    "[click][r]\n\n[r]: <https://evil.example>",
    "[r]\n\n[r]:\nhttps://evil.example",
    "[![x](https://evil.example/a)](https://evil.example)",
    "[`code`](https://evil.example)",
    "[a\nb](https://evil.example)",
    "[a](\nhttps://evil.example)",
    "<https://evil.example>",
    "<a@evil.example>",
    "https://evil.example/x?y=z#w",
    "HTTP://evil.example",
    "1http://evil.example _www.evil.example_",
    "ftp://evil.example mailto:a@evil.example xmpp:a@evil.example",
    '<img src="https://evil.example/a.png">',
    "<picture><source srcset=https://evil.example></picture>",
    '<video poster="https://evil.example/a.png"></video>',
    "<svg><image href='https://evil.example'/></svg>",
    "text[^1]\n\n[^1]: https://evil.example",
    "[x](data:text/html;base64,AAAA) [y](javascript:alert(1)) [z](vbscript:x)",
    "[x](&#104;ttps://evil.example) https&#58;//evil.example",
    "| a |\n| --- |\n| [x](https://evil.example) |",
    "> - [x](https://evil.example)\n>   ![y](https://evil.example)",
    "[x](https\\://evil.example)",
    f"[x]({OURS}../../evil/x) [y]({OURS}issues/3) [z]({OURS}pull/4) {OURS}discussions/9",
    f"[x]({OURS}blob/x@evil) ![x]({OURS}blob/main/a.png)",
    "```mermaid\nclick A https://evil.example\n```",
    "~~~ mer&#109;aid\nclick A\n~~~",
]


@pytest.mark.parametrize("text", OUTSIDE)
def test_nothing_leads_outside_and_the_words_stay(text: str) -> None:
    safe = _safe(text)
    assert "mermaid" not in safe and "&#109;" not in safe
    assert all(word in safe for word in ("evil",) if word in text)


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        (f"[the line]({OURS}blob/main/a.py#L3)", f"[the line]({OURS}blob/main/a.py#L3)"),
        (f"{OURS}tree/main.", f"{OURS}tree/main."),
        (f"[fixes #1]({OURS}blob/x)", f"fixes `#1` (`{OURS}blob/x`)"),
        ("[docs](docs/a.md)", "docs (`docs/a.md`)"),
        ("![](u)", "(`u`)"),
        ("[ ] and list[0][1] and dict[a]: b", "[ ] and list[0]\\[1] and dict[a]\\: b"),
        ("a <b and c > d <- e", "a &lt;b and c > d <- e"),
        ("AT&T &amp; &lt;b> &copy;", "AT&T &amp; &lt;b> &amp;copy;"),
    ],
)
def test_links_into_the_repository_and_plain_words_stay(text: str, safe: str) -> None:
    assert _safe(text) == safe


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("<script>alert(1)</script>", "&lt;script>alert(1)&lt;/script>"),
        ("<details><summary>x", "&lt;details>&lt;summary>x"),
        ("<!-- issuewright:1:0123 -->", "&lt;!-- issuewright:1:0123 -->"),
        ("<div>\n```\n@bob\n```", "&lt;div>\n```\n@bob\n```"),
        ("\x1b[31mred\x1b[0m \u202eabc", "red abc"),
        ("`a\n@bob b`", "\\`a\n`@bob` b\\`"),
        ("``a`", "\\`\\`a\\`"),
        ("a\\", "a\\"),
    ],
)
def test_html_is_shown_and_what_is_open_is_closed_or_escaped(text: str, safe: str) -> None:
    assert _safe(text) == safe


@pytest.mark.parametrize(
    "text",
    [
        "`@bob #1 <b> https://x.example /x`",
        "``a ` @bob``",
        "```python\n@app.route('/x')  # fixes #1\n```",
        "~~~\n@bob\n~~~",
        "- item\n\n  ```py\n  @property\n  ```\n- next",
        "> ```\n> @bob\n> ```",
        "text\n\n    @indented code #1\n\ntext",
        "````\n```\n@bob\n````",
        "| a | b |\n| --- | --- |\n| `@x` | 1 |",
        "#### Title\n\n1. one\n2. **two** _three_ ~~four~~\n\n> quote\n\n---\n\n- [ ] task\n- [x] done",
        "",
    ],
)
def test_code_and_structure_keep_their_content(text: str) -> None:
    assert _safe(text) == text


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("```py\nx = 1", "```py\nx = 1\n```"),
        ("```", "```\n```"),
        ("~~~~\n~~~", "~~~~\n~~~\n~~~~"),
        ("- ```\n  @bob", "- ```\n  @bob"),
        ("```a\nx\n```\n\n```b\ny", "```a\nx\n```\n\n```b\ny\n```"),
    ],
)
def test_fences_are_balanced(text: str, safe: str) -> None:
    assert _safe(text) == safe


def test_where_readers_might_disagree_the_whole_is_code() -> None:
    text = "| a | b |\n| --- | --- |\n| `x | @bob` | ``` |"
    safe = _safe(text)
    assert safe.startswith("```text\n") and safe.endswith("\n```") and "@bob" in safe


def test_what_does_not_settle_is_code_in_a_fence_longer_than_any_in_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bot.publish.sanitize.MAX_ROUNDS", 1)
    assert sanitize("@bob\n````\nx\n````").text == "`````text\n`@bob`\n````\nx\n````\n`````"


@pytest.mark.parametrize(
    "markdown",
    ["<div>", "a <b>x</b>", "![x](y)", "[x](y)", "<https://x.example>", "@bob", "/x", "*a*\n/x", "x #1"],
)
def test_what_would_act_is_recognised_when_the_result_is_read_back(markdown: str) -> None:
    assert acts(markdown, ALLOWED)


def test_a_long_answer_is_clipped_says_so_and_closes_its_fence() -> None:
    text = "/approve\n@org/team closes other/repo#2\n```py\n" + "x = 1\n" * 40_000
    found = sanitize(text)
    assert found.clipped and 59_000 < len(found.text) <= 60_000
    assert found.text.startswith("`/approve`\n`@org/team` closes `other/repo#2`\n```py\n")
    assert found.text.endswith(f"\n```\n\n{CLIPPED}")
    assert sanitize(found.text).text == found.text


@pytest.mark.parametrize("part", ["@a ", "`", "x", "👩‍💻", "`a` ", "word\n", "~~~\n", "[x](y)"])
@pytest.mark.parametrize("max_chars", [200, 333, 1_000])
def test_a_clipped_text_stays_within_its_bound(part: str, max_chars: int) -> None:
    found = sanitize(part * 2_000, max_chars=max_chars)
    assert found.clipped and len(found.text) <= max_chars and found.text.endswith(CLIPPED)
    assert sanitize(found.text, max_chars=max_chars).text == found.text


def test_a_text_that_grows_over_the_bound_by_escaping_is_clipped_too() -> None:
    found = sanitize("@a" * 150, max_chars=300)
    assert found.clipped and len(found.text) <= 300


def test_a_text_of_just_the_bound_is_whole() -> None:
    assert sanitize("x" * 300, max_chars=300) == sanitize("x" * 300)


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("Fix  the\n\tparser", "Fix the parser"),
        ("Fixes #1 for @bob, closes o/r#2, GH-3", "Fixes # 1 for @ bob, closes o/r# 2, GH 3"),
        ("See https://evil.example/x [skip ci]", "See evil.example/x (skip ci)"),
        ("/approve", '"/approve"'),
        ("bors r+", '"bors" r+'),
        ("x" * 80, "x" * 68 + "…"),
        ("word " * 20, ("word " * 14)[:68].rstrip() + "…"),
        ("", "Proposed change"),
        ("\u200b \n", "Proposed change"),
        ("Signed-off-by: x", "Signed-off-by - x"),
    ],
)
def test_a_title_is_one_plain_line(text: str, title: str) -> None:
    assert sanitize_title(text) == title
    assert sanitize_title(title) == title and len(title) < 70


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Fix it\n\nCloses #1\nResolves: o/r#2", "Fix it\n\nCloses # 1\nResolves: o/r# 2"),
        (
            "Fix\n\nIssuewright-Job: 5\nco-authored-by : X <x@y.z>",
            "Fix\n\nIssuewright-Job - 5\nco-authored-by - X <x@ y.z>",
        ),
        ("Fix\n\nfixes https://github.com/o/r/issues/1", "Fix\n\nfixes github.com/o/r/issues/1"),
        (
            "Fix [ci skip] [no ci] [skip actions]\nskip-checks: true",
            "Fix (ci skip) (no ci) (skip actions)\nskip-checks - true",
        ),
        ("Fix  \r\n\r\n  kept", "Fix\n\n  kept"),
        (" \n", "Proposed change"),
    ],
)
def test_a_commit_message_closes_nothing_and_brings_no_trailer(text: str, message: str) -> None:
    assert sanitize_commit(text) == message
    assert sanitize_commit(message) == message


def test_a_long_commit_message_is_clipped() -> None:
    assert len(sanitize_commit("word\n" * 2_000)) <= 5_000


SIGNS = "` `` ``` ~~~ > - 1. [ ] ( ) ]( ]: ! < <b> </div> <!-- --> &#64; &lt; \\ * _ | $ ![i](u)"
WORDS = "@bob @maria #7 #12 o/r#3 https://evil.example/x www.x.com fixes /approve a a@b.co data:x bors"
SPACES = (" ", "    ", "\t", "> ", "- ", "1. ", "\n", "\n\n", "\n|---|\n", "\n---\n", "`x | @u`", " r+")
OTHERS = (f"{OURS}blob/x", f"[a]({OURS}x)", "e\u0301", "👩\u200d💻", "\u200d", "\ufe0f\u20e3")
PARTS = st.sampled_from([*SIGNS.split(), *WORDS.split(), *SPACES, *OTHERS])


@settings(max_examples=300, deadline=None)
@given(st.lists(PARTS, max_size=25).map("".join))
def test_hostile_markdown_settles_and_acts_nowhere(text: str) -> None:
    _safe(text)
    title, message = sanitize_title(text), sanitize_commit(text)
    assert sanitize_title(title) == title and len(title) < 70
    assert sanitize_commit(message) == message


@settings(max_examples=200, deadline=None)
@given(st.text(), st.integers(200, 400))
def test_any_text_settles_within_its_bound(text: str, max_chars: int) -> None:
    found = sanitize(text * 10, max_chars=max_chars)
    assert len(found.text) <= max_chars
    assert sanitize(found.text, max_chars=max_chars).text == found.text


@pytest.mark.parametrize(
    "part",
    [
        "\\",
        "`` ` ",
        "[",
        "](",
        "@a",
        "a@",
        "> ",
        "sk-",
        "eyJ",
        "http://",
        "|a|b|\n|-|-|\n",
        "secret key ",
        "a/",
        "&a;",
    ],
)
def test_a_hostile_text_of_four_times_the_length_takes_about_four_times_as_long(part: str) -> None:
    def seconds(chars: int) -> float:
        # The collector would look through all that the suite has made, more often for the longer text.
        gc.collect()
        gc.disable()
        try:
            started = time.process_time()
            sanitize(part * (chars // len(part)), max_chars=chars)
            return time.process_time() - started
        finally:
            gc.enable()

    # Twice as much as four times, and a little for what else the process does: 16 times is refused.
    assert seconds(60_000) < 8 * min(seconds(15_000), seconds(15_000)) + 0.2
