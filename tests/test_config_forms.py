"""The forms of private keys and database addresses."""

import base64
from pathlib import Path
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from bot.config_database import database_url, is_session_kept, passwords
from bot.config_forms import BadValue
from bot.config_keys import private_keys
from tests.keys import new_key

PEM = new_key()
PKCS8 = new_key(PrivateFormat.PKCS8)


def keys_of(text: str) -> list[str]:
    """The keys in *text*."""
    return [key.reveal() for key in private_keys(text)]


def refusal(text: str) -> str:
    """What is said about a *text* that holds no key."""
    with pytest.raises(BadValue) as caught:
        private_keys(text)
    return caught.value.wrong


def as_base64(text: str) -> str:
    """What `base64 -w0` prints."""
    return base64.b64encode(text.encode()).decode()


# ── private keys ─────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    "text",
    [
        PEM,
        f"  {PEM}\n\n",
        PEM.replace("\n", "\\n"),
        PEM.replace("\n", "\r\n"),
        PEM.replace("\n", "\\r\\n"),
        PEM.replace("\n", " "),
        f'"{PEM}"',
        as_base64(PEM),
        base64.encodebytes(PEM.encode()).decode(),
    ],
    ids=[
        "text",
        "padded",
        "escaped",
        "crlf",
        "escaped crlf",
        "one line",
        "quoted",
        "base64",
        "wrapped base64",
    ],
)
def test_a_key_in_any_usual_form_becomes_clean_pem(text: str) -> None:
    assert keys_of(text) == [PEM]
    load_pem_private_key(keys_of(text)[0].encode(), password=None)


def test_a_key_can_be_the_path_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "app.pem").write_text(PEM)
    assert keys_of(str(tmp_path / "app.pem")) == [PEM]


def test_a_path_may_begin_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "app.pem").write_text(PEM)
    assert keys_of("~/app.pem") == [PEM]


def test_two_keys_stand_below_each_other_in_their_order() -> None:
    assert keys_of(f"{PEM}{PKCS8}") == [PEM, PKCS8]
    assert keys_of(f"{PKCS8}\n{PEM}") == [PKCS8, PEM]


def test_two_encoded_keys_or_paths_are_joined_by_a_comma_or_an_empty_line(tmp_path: Path) -> None:
    (tmp_path / "new.pem").write_text(PKCS8)
    assert keys_of(f"{as_base64(PEM)}, {tmp_path}/new.pem") == [PEM, PKCS8]
    assert keys_of(f"{as_base64(PEM)}\n\n{as_base64(PKCS8)}") == [PEM, PKCS8]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (" , ", "no key in it"),
        ("not-a-key", "neither PEM text, nor base64"),
        (as_base64("hello"), "neither PEM text, nor base64"),
        ("\0", "neither PEM text, nor base64"),
        (PEM[:-40], "no complete PEM key"),
        (PEM + PEM[:-40], "no complete PEM key"),
        (PEM.replace("MII", "!II", 1), "cut off, changed"),
        ("\n".join(PEM.splitlines()[:5] + PEM.splitlines()[-1:]), "cut off, changed"),
        ("-----BEGIN RSA PRIVATE KEY-----\n-----END RSA PRIVATE KEY-----", "cut off, changed"),
    ],
    ids=["nothing", "word", "base64", "nul", "no end", "half second", "odd sign", "lines lost", "empty"],
)
def test_what_is_no_whole_key_is_refused_without_showing_it(text: str, words: str) -> None:
    wrong = refusal(text)
    assert words in wrong
    assert text.strip()[30:50] not in wrong or len(text) < 50


def test_another_kind_of_pem_is_named() -> None:
    elliptic = ec.generate_private_key(ec.SECP256R1())
    text = elliptic.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
    assert "it holds a ec private key" in refusal(text)


def test_a_key_with_a_password_is_refused() -> None:
    key = load_pem_private_key(PEM.encode(), password=None)
    locked = BestAvailableEncryption(b"password")
    new = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked).decode()
    old = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, locked).decode()
    assert "encrypted private key" in refusal(new)
    assert "protected by a password" in refusal(old)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "app.pem").write_bytes(b"\xff\xfe")
    assert "path of a readable file" in refusal(str(tmp_path / "app.pem"))
    assert "path of a readable file" in refusal(str(tmp_path))


# ── the database ─────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("text", "ours"),
    [
        ("postgres://u:p@h/db", "u:p@h/db"),
        ("postgresql://u:p%40x@h:5433/db", "u:p%40x@h:5433/db"),
        ("postgresql://u:p@x@h/db", "u:p%40x@h/db"),
        ("postgresql://u:a%2Fb%20c@h/db", "u:a%2Fb%20c@h/db"),
        ("postgresql+psycopg://h/db", "h/db"),
        ("postgresql+psycopg2://h/db", "h/db"),
        ("postgresql+asyncpg://h/db?ssl=require", "h/db?sslmode=require"),
        ("postgresql://h:5432/db?user=me&password=p%26q", "me:p%26q@h/db"),
        ("postgresql://h/db?schema=public&connection_limit=5&pgbouncer=false", "h/db?connection_limit=5"),
        (
            "postgresql://h:6543/db?pgbouncer=true&connection_limit=1",
            "h:6543/db?connection_limit=1&pgbouncer=true",
        ),
        ("postgres://h/db?sslmode=require&channel_binding=require", "h/db?sslmode=require"),
        ("postgres://h/db?sslmode=require&sslaccept=strict", "h/db?sslmode=verify-full"),
        (
            "postgres://h/db?sslmode=verify-full&sslrootcert=system",
            "h/db?sslmode=verify-full&sslrootcert=system",
        ),
        ("postgresql:///db?host=/run/postgresql", "/db?host=%2Frun%2Fpostgresql"),
        ("postgresql:///db?host=/run/pg&port=6432", "/db?host=%2Frun%2Fpg%3A6432"),
        ("postgresql://u@%2Frun%2Fpg/db", "u@/db?host=%2Frun%2Fpg"),
        ("postgresql://u:p@[2001:db8::1]:5433/db", "u:p@[2001:db8::1]:5433/db"),
        ("host=2001:db8::1 dbname=db", "[2001:db8::1]/db"),
        ("postgres://u:p@one:1,two/db", "u:p@one:1,two/db?target_session_attrs=read-write"),
        ("host=one,two port=1,2 dbname=db", "one:1,two:2/db?target_session_attrs=read-write"),
        ("postgres://one,[::2]:7/db?target_session_attrs=any", "one,[::2]:7/db?target_session_attrs=any"),
        ("host=h port=5433 dbname=db user=me password=p", "me:p@h:5433/db"),
        (
            r"host=h dbname=db user=me password='it\'s a \\ ://@ word'",
            "me:it%27s%20a%20%5C%20%3A%2F%2F%40%20word@h/db",
        ),
        ("host=h  dbname = db sslmode=prefer connect_timeout=3", "h/db?sslmode=prefer"),
    ],
)
def test_every_usual_address_of_postgres_becomes_ours_and_stays_so(text: str, ours: str) -> None:
    assert database_url(text) == f"postgresql+asyncpg://{ours}"
    assert database_url(database_url(text)) == f"postgresql+asyncpg://{ours}"


@pytest.mark.parametrize(
    "text",
    ["sqlite:////data/x.db", "sqlite+aiosqlite:////data/x.db", "file:/data/x.db", "file:///data/x.db"],
)
def test_every_usual_address_of_a_file_becomes_ours_and_stays_so(text: str) -> None:
    assert database_url(text) == "sqlite+aiosqlite:////data/x.db"
    assert database_url(database_url(text)) == "sqlite+aiosqlite:////data/x.db"


@pytest.mark.parametrize("text", ["sqlite:///x.db", "sqlite:///./x.db", "file:./x.db", "file:x.db"])
def test_a_relative_file_is_taken_from_here(text: str) -> None:
    assert database_url(text) == f"sqlite+aiosqlite:///{Path.cwd()}/x.db"


@pytest.mark.parametrize(
    ("query", "ours"),
    [
        ("sslmode=verify-full&sslrootcert={0}", "sslmode=verify-full&sslrootcert={0}"),
        ("sslmode=require&sslcert={0}", "sslmode=require&sslrootcert={0}"),
        ("sslmode=require&sslcert={0}&sslaccept=strict", "sslmode=verify-full&sslrootcert={0}"),
        ("sslmode=require&sslcert={0}&sslaccept=accept_invalid_certs", "sslmode=require"),
        ("sslmode=require&sslcert={0}&sslkey={0}", "sslmode=require&sslcert={0}&sslkey={0}"),
    ],
)
def test_certificates_of_libpq_and_of_prisma_are_told_apart(query: str, ours: str, tmp_path: Path) -> None:
    pem = tmp_path / "some.pem"
    pem.touch()
    shown = quote(str(pem), safe="")
    url = database_url(f"postgresql://h/db?{query.format(pem)}")
    assert url == f"postgresql+asyncpg://h/db?{ours.format(shown)}"
    assert database_url(url) == url


def test_a_connection_keeps_its_session_on_postgres_unless_a_pgbouncer_shares_it() -> None:
    assert is_session_kept(database_url("postgresql://h/db"))
    assert not is_session_kept(database_url("postgresql://h/db?pgbouncer=true"))
    assert not is_session_kept(database_url("sqlite:////data/x.db"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("mysql://root:canary@h/db", "neither a PostgreSQL nor a SQLite"),
        ("issues.db", "neither a PostgreSQL nor a SQLite"),
        ("postgresql://h:canary/db", "neither a PostgreSQL nor a SQLite"),
        ("postgresql://u:canary@h/", "the name of the database is missing"),
        ("postgresql:///db", "the host or the name"),
        ("postgresql://u:canary@h/db?schema=mine", "another schema than public"),
        ("postgresql://u:canary@h/db?pgbouncer=true&options=-cwork_mem%3D1", "PgBouncer takes no"),
        ("postgresql://u:canary@h/db?pgbouncer=maybe", "neither true nor false"),
        ("postgresql://u:canary@h/db?connection_limit=0", "cannot be used here"),
        ("postgresql://u:canary@h:99999/db", "neither a PostgreSQL nor a SQLite"),
        ("postgresql://u:canary@[::1/db", "neither a PostgreSQL nor a SQLite"),
        ("postgresql://u:canary@a,b,c/db?port=1,2", "not as many ports as hosts"),
        ("postgresql://u:canary@%2Frun%2Fpg,b/db", "a socket's folder stands beside"),
        ("host=h user=me password='canary", "neither a PostgreSQL nor a SQLite"),
        ("password=canary dbname=db", "the host or the name"),
        ("postgresql://u:canary@h/db?sslpassword=canary", "?sslpassword= cannot be used"),
        ("postgresql://u:canary@h/db?sslidentity=a.p12", "?sslidentity= cannot be used"),
        ("postgresql://u:canary@h/db?sslmode=verify-ca", "would trust every public authority"),
        ("postgresql://u:canary@h/db?sslmode=verify-full&sslrootcert=/nowhere/ca.pem", "cannot be read"),
        ("postgresql://u:canary@h/db?sslmode=require&sslkey=/dev/null", "a pair"),
        ("postgresql://u:canary@h/db?sslrootcert=/dev/null", "would go without"),
        ("postgresql://u:canary@h/db?sslmode=disable&sslrootcert=/dev/null", "sslmode is disable"),
        ("postgresql://u:canary@a,b/db?target_session_attrs=odd", "target_session_attrs has an unknown"),
        ("postgresql://u:canary@h/db?colour=red", "'colour' is not understood"),
        ("postgresql://u:canary@h/db?sslmode=maybe", "sslmode has an unknown value"),
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
        ("sqlite:////data/x.db?mode=ro", "holds ?, #, % or a host"),
        ("sqlite://host/x.db", "holds ?, #, % or a host"),
    ],
)
def test_what_we_cannot_use_is_refused_without_showing_the_password(text: str, words: str) -> None:
    with pytest.raises(BadValue, match="; ") as caught:
        database_url(text)
    assert words in caught.value.wrong
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("postgresql+asyncpg://me:p%40ss-word@db/x", {"p%40ss-word", "p@ss-word"}),
        ("postgresql+asyncpg://me:plain-word@db/x", {"plain-word"}),
        ("postgresql+asyncpg://me@/x?host=/run", set()),
        ("sqlite+aiosqlite:////data/x.db", set()),
    ],
)
def test_the_password_of_a_database_is_known_in_both_its_spellings(url: str, found: set[str]) -> None:
    assert set(passwords(url)) == found
