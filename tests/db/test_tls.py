"""Encrypted connections to a real Postgres with an authority of our own: what is checked, and what is not."""

import datetime as dt
import shutil
import ssl
from collections.abc import AsyncIterator
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from sqlalchemy import text

from bot.config_database import database_url
from bot.db import readiness
from bot.db.database import Database
from bot.errors import ConfigError
from tests.postgres import Postgres
from tests.relay import Relay, relay

NOW = dt.datetime.now(dt.UTC)


class Authority:
    """Signs certificates; its own is `ca.pem` in *folder*."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "An authority of this test")])
        self.write("ca", self.key, self.name, [x509.BasicConstraints(ca=True, path_length=None)])

    def sign(self, name: str, common_name: str) -> None:
        """Write *name*.pem and *name*.key; it is for the host *common_name* and for nothing else."""
        names: list[x509.GeneralName] = [x509.DNSName(common_name)]
        if common_name[0].isdigit():
            names = [x509.IPAddress(ip_address(common_name))]
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        key = ec.generate_private_key(ec.SECP256R1())
        self.write(name, key, subject, [x509.SubjectAlternativeName(names)])

    def write(
        self,
        name: str,
        key: ec.EllipticCurvePrivateKey,
        subject: x509.Name,
        extensions: list[x509.ExtensionType],
    ) -> None:
        builder = (
            x509.CertificateBuilder(subject_name=subject, issuer_name=self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - dt.timedelta(days=1))
            .not_valid_after(NOW + dt.timedelta(days=1))
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        signed = builder.sign(self.key, hashes.SHA256())
        (self.folder / f"{name}.pem").write_bytes(signed.public_bytes(Encoding.PEM))
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (self.folder / f"{name}.key").write_bytes(pem)
        (self.folder / f"{name}.key").chmod(0o600)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The certificates: the server's is for 127.0.0.1 only."""
    made = tmp_path_factory.mktemp("certificates")
    authority = Authority(made)
    authority.sign("server", "127.0.0.1")
    authority.sign("client", "postgres")
    other = tmp_path_factory.mktemp("other")
    Authority(other)
    shutil.copy(other / "ca.pem", made / "other.pem")
    return made


@pytest.fixture
async def server(folder: Path, postgres: Postgres) -> AsyncIterator[Relay]:
    """What stands for a Postgres that can encrypt: the embedded one was built without."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(folder / "server.pem", folder / "server.key")
    tls.load_verify_locations(folder / "ca.pem")
    tls.verify_mode = ssl.CERT_OPTIONAL
    async with relay(postgres.folder, tls) as made:
        yield made


async def connect(url: str) -> None:
    """Open the database and ask it something."""
    database = Database(database_url(url))
    try:
        async with database.read() as connection:
            assert await connection.scalar(text("SELECT 1")) == 1
    finally:
        await database.close()


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("sslmode=disable", False),
        ("sslmode=prefer", True),
        ("", True),
        ("sslmode=require", True),
        ("sslmode=require&sslrootcert={0}/ca.pem", True),
        ("sslmode=verify-ca&sslrootcert={0}/ca.pem", True),
        ("sslmode=verify-full&sslrootcert={0}/ca.pem", True),
        ("sslmode=require&sslcert={0}/ca.pem&sslaccept=strict", True),
    ],
)
async def test_a_connection_is_as_encrypted_as_it_was_asked_for(
    query: str, expected: bool, server: Relay, folder: Path
) -> None:
    url = f"postgresql://postgres@127.0.0.1:{server.port}/postgres?{query.format(folder)}"
    await connect(url)
    assert server.is_encrypted == [expected]


@pytest.mark.parametrize(
    "query",
    [
        "sslmode=verify-full",
        "sslmode=verify-full&sslrootcert=system",
        "sslmode=verify-full&sslrootcert={0}/other.pem",
        "sslmode=verify-ca&sslrootcert={0}/other.pem",
        "sslmode=require&sslrootcert={0}/other.pem",
    ],
)
async def test_a_server_whose_authority_is_not_ours_is_refused(
    query: str, server: Relay, folder: Path
) -> None:
    url = f"postgresql://postgres@127.0.0.1:{server.port}/postgres?{query.format(folder)}"
    with pytest.raises(ssl.SSLCertVerificationError):
        await connect(url)


@pytest.mark.parametrize(("mode", "is_refused"), [("verify-full", True), ("verify-ca", False)])
async def test_the_name_of_the_host_counts_for_verify_full_alone(
    mode: str, is_refused: bool, server: Relay, folder: Path
) -> None:
    url = f"postgresql://postgres@localhost:{server.port}/postgres?sslmode={mode}&sslrootcert={folder}/ca.pem"
    if is_refused:
        with pytest.raises(ssl.SSLCertVerificationError, match="localhost"):
            await connect(url)
    else:
        await connect(url)
        assert server.is_encrypted == [True]


async def test_a_certificate_of_our_own_is_shown(server: Relay, folder: Path) -> None:
    url = f"postgresql://postgres@127.0.0.1:{server.port}/postgres?sslmode=require"
    await connect(f"{url}&sslcert={folder}/client.pem&sslkey={folder}/client.key")
    await connect(url)
    shown, nothing = server.certificates
    assert shown["subject"] == ((("commonName", "postgres"),),)
    assert not nothing


@pytest.mark.parametrize("mode", ["require", "verify-full"])
async def test_a_server_that_cannot_encrypt_is_refused_when_it_must(
    mode: str, server: Relay, folder: Path
) -> None:
    server.tls = None
    url = f"postgresql://postgres@127.0.0.1:{server.port}/postgres?sslmode={mode}"
    with pytest.raises(ConnectionError, match="rejected SSL upgrade"):
        await connect(url)
    with pytest.raises(ConfigError, match="rejected SSL upgrade"):
        await readiness.prepare(database_url(url))


async def test_a_server_whose_name_is_another_stops_the_start_in_words(server: Relay, folder: Path) -> None:
    query = f"sslmode=verify-full&sslrootcert={folder}/ca.pem"
    with pytest.raises(ConfigError, match="certificate verify failed"):
        await readiness.prepare(database_url(f"postgresql://me@localhost:{server.port}/x?{query}"))
