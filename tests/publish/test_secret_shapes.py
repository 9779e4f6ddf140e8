"""Secrets are found in every shape and spelling (T-23), and words about secrets are left alone."""

import base64

import pytest

from bot.publish.sanitize import sanitize, sanitize_commit, sanitize_title


def _secret(*parts: str) -> str:
    """A made-up secret, put together here so that no scanner takes this file for a leak."""
    return "".join(parts)


ALNUM = "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0fG"
SECRETS = {
    "GitHub token": [_secret("gh", kind, "_", ALNUM, "abcd") for kind in "pousr"]
    + [_secret("ghs_", ALNUM, ".", ALNUM, "_", ALNUM, "-x")],
    "GitHub fine-grained token": [_secret("github_", "pat_", ALNUM, "_", ALNUM)],
    "Anthropic key": [_secret("sk-", "ant-api03-", ALNUM)],
    "OpenAI key": [_secret("sk-", ALNUM), _secret("sk-", "proj-", ALNUM)],
    "AWS access key id": [_secret("AK", "IA", "ABCDEFGH12345678")],
    "AWS secret key": [_secret("aws_secret_access_key = ", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzAbC12d3e4")],
    "Slack token": [_secret("xo", kind, "-1234567890-", ALNUM) for kind in ("xb", "xp", "xa", "xr", "xs")],
    "Slack webhook": [_secret("https://hooks.", "slack.com/services/T0001/B0001/", ALNUM)],
    "private key": [_secret("-----BEGIN ", "RSA PRIVATE KEY-----\n", ALNUM * 2, "\n-----END")],
    "JSON web token": [_secret("ey", "J", ALNUM, ".ey", "J", ALNUM, ".", ALNUM)],
    "Google API key": [_secret("AI", "za", ALNUM, "abc")],
    "Google OAuth secret": [_secret("GOC", "SPX-", ALNUM[:28])],
    "Stripe key": [_secret("sk_", "live_", ALNUM), _secret("rk_", "live_", ALNUM)],
    "npm token": [_secret("np", "m_", ALNUM, "abcd")],
    "PyPI token": [_secret("py", "pi-", ALNUM, ALNUM)],
    "GitLab token": [_secret("gl", "pat-", ALNUM)],
    "SendGrid key": [_secret("S", "G.", ALNUM, ".", ALNUM)],
    "Twilio key": [_secret("S", "K", "0123456789abcdef" * 2)],
    "Azure connection string": [_secret("Account", "Key=", ALNUM, ALNUM, "==")],
    "Hugging Face token": [_secret("h", "f_", ALNUM)],
    "DigitalOcean token": [_secret("do", "p_v1_", "0123456789abcdef" * 4)],
    "password in a URL": [_secret("postgres://app:", "h7!kk2pQ", "@db.example/x")],
    "named secret": [
        _secret("password", " = '", "q8ZtR4mWx2Lk9PvB", "'"),
        _secret("api_key", ": ", "9f8e7D6c5b4a3210"),
    ],
}
QUOTED = ["{}", "it is `{}`.", "```\n{}\n```", "a\u200b{}", "| {} |", "<b>{}</b>"]


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, some in SECRETS.items() for value in some]
)
@pytest.mark.parametrize("quoted", QUOTED)
def test_a_secret_withholds_the_whole_text(name: str, value: str, quoted: str) -> None:
    found = sanitize("Here: " + quoted.format(value))
    assert name in found.blocked and value not in found.text
    assert "withheld" in found.text and name in found.text
    assert sanitize(found.text).text == found.text
    assert sanitize_title(value) == sanitize_commit(f"Fix\n\n{value}") == "Proposed change"


def test_a_secret_that_markdown_would_put_together_is_found() -> None:
    assert sanitize(_secret("gh", "p\\_", ALNUM, "abcd")).blocked
    assert sanitize(_secret("gh", "p&#95;", ALNUM, "abcd")).blocked


def test_a_secret_that_only_our_own_rewriting_puts_together_is_found() -> None:
    found = sanitize("[abcd](efgh)", secrets=("abcd (`efgh`)",))
    assert found.blocked == ("known secret",)


@pytest.mark.parametrize(
    "text",
    [
        "password = os.environ.get_password_from_somewhere",
        "token: settings.github.token2.value1",
        "postgres://user:password@localhost/db and https://user:${TOKEN}@x.example",
        "secret: your-secret-goes-here-12345",
        "password=xxxxxxxxxxxxxxxxxxxxxxxx1A",
        "sk-learn-is-a-library-with-a-long-name",
        "-----BEGIN RSA PRIVATE KEY-----",
        "sha 4adeccb6b4e9b5c9d395077bac3f5f254adeccb6",
        "secret access key is what AWS calls it; token = short",
    ],
)
def test_words_about_secrets_are_no_secrets(text: str) -> None:
    assert not sanitize(text).blocked


KNOWN = "correct-horse-battery-staple-0123456789-XYZ"


@pytest.mark.parametrize(
    "text",
    [
        KNOWN,
        KNOWN[::-1],
        KNOWN.encode().hex(),
        KNOWN.encode().hex().upper(),
        base64.b64encode(KNOWN.encode()).decode(),
        base64.b64encode(b"x" + KNOWN.encode() + b"yz").decode(),
        base64.urlsafe_b64encode(b"xy" + KNOWN.encode()).decode(),
        KNOWN[7:],
        KNOWN[:-10],
        "\n".join(KNOWN),
        " ".join(KNOWN),
    ],
)
def test_a_known_secret_is_found_in_any_spelling(text: str) -> None:
    assert sanitize(f"x {text} y", secrets=("", "short", KNOWN)).blocked == ("known secret",)


def test_a_known_secret_that_is_short_is_found_whole_only() -> None:
    assert sanitize("it is hunter2hunter2", secrets=("hunter2hunter2",)).blocked
    assert not sanitize("it is hunter2hunter", secrets=("hunter2hunter2",)).blocked
