"""The command grammar: what counts, what does not, and what a wrong command is answered with."""

import pytest

from bot.domain.commands import (
    COMMANDS,
    MAX_WORDS_CHARS,
    Command,
    CommandProblem,
    command_for,
    explain,
    parse,
)
from bot.domain.values import WORK
from bot.limits import BODY_MAX_CHARS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/agent fix", Command("fix", "")),
        ("/agent ask where is it rounded?", Command("ask", "where is it rounded?")),
        ("/agent analyze", Command("ask", "")),
        ("/agent plan in small steps", Command("plan", "in small steps")),
        ("/agent fix keep the API as it is", Command("fix", "keep the API as it is")),
        ("/agent implement it", Command("fix", "it")),
        ("/agent help", Command("help", "")),
        ("/agent   fix\t the   tests  ", Command("fix", "the   tests")),
        ("/Agent Fix", Command("fix", "")),
        ("/agent fix: the totals", Command("fix", "the totals")),
        ("/agent fix.", Command("fix", "")),
        ("   /agent fix", Command("fix", "")),
        ("Thanks!\n/agent fix", Command("fix", "")),
        ("Thanks!\n       /agent fix", Command("fix", "")),
        ("Thanks!\r\n\r\n/agent fix it\r\nBye", Command("fix", "it")),
        ("Thanks!\r/agent fix", Command("fix", "")),
        ("/agent fix\n-- \nMona", Command("fix", "")),
        ("- first\n- second\n\n  /agent fix", Command("fix", "")),
        ("> quoted\n\n/agent fix", Command("fix", "")),
        ("```\ncode\n```\n/agent fix", Command("fix", "")),
        ("A List<String> and a <name>\n/agent fix", Command("fix", "")),
        ("see <b>this</b><br><a name='x'/>\n/agent fix", Command("fix", "")),
        ("<!-- a template's <div> hint -->\n\n/agent fix", Command("fix", "")),
        ("</div>\n\n/agent fix", Command("fix", "")),
        ("<details>\n\nlog\n\n</details>\n\n/agent fix", Command("fix", "")),
        ("\N{NO-BREAK SPACE}\n/agent fix", Command("fix", "")),
        ("/agent\N{NO-BREAK SPACE}fix", Command("fix", "")),
        ("**important\n/agent fix", Command("fix", "")),
        ("/agent fix `a` and [b](https://example.com)", Command("fix", "`a` and [b](https://example.com)")),
    ],
)
def test_a_command_at_the_start_of_a_line_counts(text: str, expected: Command) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "just words",
        "please /agent fix",
        "/agents fix",
        "/agent-other fix",
        "/agent/fix",
        "@agent fix",
        "me@example.com/agent fix",
        "\\/agent fix",
        "# /agent fix",
        "- /agent fix",
        "1. /agent fix",
        "**/agent fix**",
        "`/agent fix`",
        "a `b\n/agent fix\nc` d",
        "```\n/agent fix\n```",
        "```\n/agent fix",
        "~~~sh\n/agent fix\n~~~",
        "- a\n  ```\n  /agent fix\n  ```",
        "    /agent fix",
        "\t/agent fix",
        "text\n\n    /agent fix",
        "> /agent fix",
        ">/agent fix",
        "> quoted\n/agent fix",
        "> > /agent fix\n> /agent fix",
        "- > /agent fix",
        "> - a\n>\n>   /agent fix",
        "<!-- /agent fix -->",
        "<!--\n/agent fix\n-->",
        "words <!--\n/agent fix\n--> words",
        "<div>\n/agent fix\n</div>",
        "<div>\n\n/agent fix\n\n</div>",
        "<details><summary>log</summary>\n\n/agent fix\n\n</details>",
        "<blockquote>\n\n/agent fix\n\n</blockquote>",
        "<pre>\n\n/agent fix\n</pre>",
        "words <span hidden>\n/agent fix\n</span>",
        "words <a href='x'\ntitle='\n/agent fix\n'>y</a>",
        "words <kbd>\n/agent fix\n</kbd>",
        "[link\n/agent fix](https://example.com)",
        "[link](https://example.com 'title\n/agent fix\n')",
        "</a>[link\n/agent fix](https://example.com)",
        "[**link**\n/agent fix][x]\n\n[x]: https://example.com",
        "![image\n/agent fix](https://example.com/x.png)",
        "[//]: # (\n/agent fix\n)",
        "[x]: https://example.com 'title\n/agent fix\n'",
        "https://example.com/agent fix",
        "\N{ZERO WIDTH SPACE}/agent fix",
        "\N{NO-BREAK SPACE}/agent fix",
        "/agent\N{ZERO WIDTH SPACE} fix",
    ],
)
def test_code_quotes_html_links_and_other_words_are_no_command(text: str) -> None:
    assert parse(text) is None


def test_the_first_command_of_a_text_wins() -> None:
    assert parse("/agent help\n/agent fix\n" * 10) == Command("help", "")


def test_a_wrong_first_command_is_not_passed_over_for_a_later_one() -> None:
    assert isinstance(parse("/agent nonsense\n\n/agent fix"), CommandProblem)


def test_a_command_in_a_quote_is_passed_over_for_the_writers_own() -> None:
    assert parse("> /agent help\n\nYes:\n\n/agent fix") == Command("fix", "")


def test_every_name_in_the_registry_is_read_as_its_verb_and_every_example_works() -> None:
    for spec in COMMANDS:
        assert [parse(f"/agent {name}") for name in (spec.verb, *spec.aliases)] == [
            Command(spec.verb, "")
        ] * (1 + len(spec.aliases))
        assert isinstance(said := parse(f"/agent {spec.example}"), Command) and said.verb == spec.verb
        assert spec.usage.split()[0] == spec.verb and spec.meaning.endswith(".") and spec.who


def test_no_two_verbs_share_a_name() -> None:
    names = [name for spec in COMMANDS for name in (spec.verb, *spec.aliases)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("text", "line", "column", "quote", "nearest"),
    [
        ("/agent fxi it", 1, 8, "/agent fxi it\n       ^", "/agent fix"),
        ("/agent implment", 1, 8, "/agent implment\n       ^", "/agent fix"),
        ("/agent hlep", 1, 8, "/agent hlep\n       ^", "/agent help"),
        ("hello\n\n  /agent  jumps now", 3, 11, "  /agent  jumps now\n          ^", "/agent help"),
        ("/agent", 1, 8, "/agent\n       ^", "/agent help"),
        ("/agent   ", 1, 8, "/agent\n       ^", "/agent help"),
        ("/agent ...", 1, 8, "/agent ...\n       ^", "/agent help"),
        ("/agent `fxi`", 1, 8, "/agent  fxi\n       ^", "/agent fix"),
        ("/agent\tfxi \x1b[31m", 1, 8, "/agent fxi  [31m\n       ^", "/agent fix"),
    ],
)
def test_an_unknown_command_is_shown_with_a_caret_and_the_nearest_form(
    text: str, line: int, column: int, quote: str, nearest: str
) -> None:
    assert parse(text) == CommandProblem(line, column, quote, nearest)


def test_a_long_wrong_line_is_quoted_around_the_failing_place() -> None:
    problem = parse("/agent" + " " * 5_000 + "x" * 5_000)
    assert isinstance(problem, CommandProblem)
    assert problem.column == 5_007
    shown, caret = problem.quote.split("\n")
    assert len(shown) == 80 and shown[caret.index("^") :] == "x" * 40


def test_the_words_for_the_thread_name_place_and_remedy() -> None:
    problem = parse("/agent fxi")
    assert isinstance(problem, CommandProblem)
    assert explain(problem) == (
        "Line 1, column 8 is no command that I know:\n\n```text\n/agent fxi\n       ^\n```\n\n"
        "The nearest right form is `/agent fix`."
    )


@pytest.mark.parametrize("prefix", ["/bot", "@issuewright", "/a.b", "!", "[x]"])
def test_the_prefix_is_configurable_and_taken_literally(prefix: str) -> None:
    assert parse(f"{prefix} fix it", prefix) == Command("fix", "it")
    assert parse("/agent fix", prefix) is None
    assert parse(f"{prefix} fxi", prefix) == CommandProblem(
        1, len(prefix) + 2, f"{prefix} fxi\n{' ' * (len(prefix) + 1)}^", f"{prefix} fix"
    )


def test_words_are_bounded() -> None:
    said = parse("/agent fix " + "x" * 20_000)
    assert isinstance(said, Command) and len(said.words) == MAX_WORDS_CHARS


def test_a_text_longer_than_github_allows_holds_no_command() -> None:
    assert parse("/agent fix\n" + "x" * (BODY_MAX_CHARS - 11)) == Command("fix", "")
    assert parse("/agent fix\n" + "x" * (BODY_MAX_CHARS - 10)) is None


@pytest.mark.parametrize(
    ("verb", "agent", "again"),
    [
        ("fix", "code.fix", "fix"),
        ("ask", "meta.research", "ask"),
        ("plan", "meta.plan", "plan"),
        (WORK, "code.feature", "fix"),
        (WORK, "docs.write", "fix"),
        (WORK, "meta.research", "ask"),
        (WORK, "meta.deployment", "ask"),
    ],
)
def test_every_job_has_a_command_that_asks_for_it_again(verb: str, agent: str, again: str) -> None:
    assert command_for(verb, agent) == again
    assert isinstance(parse(f"/agent {again}"), Command)
