"""Private keys made for one test run."""

from functools import cache

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import NoEncryption, PrivateFormat


@cache
def new_key(style: PrivateFormat = PrivateFormat.TraditionalOpenSSL, number: int = 0) -> str:
    """An RSA key as PEM text; the same one for the same *style* and *number*."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    return key.private_bytes(serialization.Encoding.PEM, style, NoEncryption()).decode()
