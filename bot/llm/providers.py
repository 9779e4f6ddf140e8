"""Who serves the model: Anthropic (or a server like it), Bedrock, Vertex, Foundry; by the SDK's clients.

Addresses are always ours, so that no `ANTHROPIC_*` variable of the process changes where prompts go. The
credentials of a machine (AWS's chain, Google's application default) are found by boto3 and google-auth,
which are installed by those who need them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from bot import config_provider
from bot.config_provider import PROVIDERS
from bot.errors import ConfigError, Problem

if TYPE_CHECKING:
    import anthropic

    Client = (
        anthropic.AsyncAnthropic
        | anthropic.AsyncAnthropicBedrock
        | anthropic.AsyncAnthropicVertex
        | anthropic.AsyncAnthropicFoundry
    )

DEFAULT_BASE_URL = "https://api.anthropic.com"
BODY_CHANGED = frozenset({"bedrock", "vertex"})
"""Where the SDK moves fields of the body into the address."""
_FOUNDRY_KEY = Problem("ANTHROPIC_API_KEY", "it is not set", "set a key of the Foundry resource")
_SIGNING = {
    "bedrock": ("boto3", "AWS credentials", "a Bedrock API key"),
    "vertex": ("google.auth", "Google credentials", "an access token"),
}

_CREDENTIAL_ERRORS = {
    "bedrock": ("botocore.exceptions", "BotoCoreError"),
    "vertex": ("google.auth.exceptions", "GoogleAuthError"),
}


@dataclass(frozen=True, slots=True)
class Provider:
    """Who serves the model, and where there.

    `region` for Bedrock and Vertex, `project` for Vertex, `resource` for Foundry.
    """

    name: str = "anthropic"
    region: str = ""
    project: str = ""
    resource: str = ""


def connect(provider: Provider, api_key: str, base_url: str | None) -> "Client":
    """The SDK's client for *provider*, without retries and redirects; nothing is sent yet.

    *api_key* may be "" where the machine's own credentials are to be used (Bedrock, Vertex).

    Raises:
        ConfigError: something is not set, or a package is missing; says how to get it.
    """
    import anthropic

    problems = list(_problems(provider, api_key, base_url))
    if problems:
        raise ConfigError(*problems)
    shared: dict[str, Any] = {
        "base_url": base_url or _address(provider),
        "max_retries": 0,
        "open_telemetry": False,
        # On aiohttp a request costs half the CPU that it costs on the SDK's own transport.
        # A redirect would carry the prompt to an address that nobody configured.
        "http_client": anthropic.DefaultAioHttpClient(follow_redirects=False),
    }
    makers: dict[str, Callable[[], Client]] = {
        "anthropic": lambda: anthropic.AsyncAnthropic(api_key=api_key, **shared),
        "bedrock": lambda: anthropic.AsyncAnthropicBedrock(
            api_key=api_key or None, aws_region=provider.region, **shared
        ),
        "vertex": lambda: anthropic.AsyncAnthropicVertex(
            access_token=api_key or None, region=provider.region, project_id=provider.project, **shared
        ),
        "foundry": lambda: anthropic.AsyncAnthropicFoundry(api_key=api_key, **shared),
    }
    client = makers[provider.name]()
    # The SDK merges ANTHROPIC_CUSTOM_HEADERS in without being asked, and has no switch for it.
    client._custom_headers = {}  # noqa: SLF001
    return client


def credential_errors(provider: Provider) -> tuple[type[Exception], ...]:
    """What a request raises when the machine's own credentials are missing or have run out."""
    module, name = _CREDENTIAL_ERRORS.get(provider.name, ("", ""))
    if not module or not _is_installed(module):
        return ()
    # The SDK itself raises RuntimeError where the chain of credentials is empty.
    return (RuntimeError, getattr(import_module(module), name))


def _problems(provider: Provider, api_key: str, base_url: str | None) -> list[Problem]:
    """What keeps the provider from being asked."""
    name = provider.name
    if name not in PROVIDERS:
        return [Problem("ANTHROPIC_PROVIDER", f"{name!r} is not known", f"use {', '.join(PROVIDERS)}")]
    given = {
        "anthropic_provider": name,
        "anthropic_region": provider.region,
        "anthropic_project": provider.project,
        "anthropic_resource": provider.resource,
        "anthropic_base_url": base_url,
    }
    found = config_provider.problems({field: text for field, text in given.items() if text})
    if name == "foundry" and not api_key:
        found.append(_FOUNDRY_KEY)
    if name in _SIGNING and not api_key and not _is_installed(_SIGNING[name][0]):
        package, credentials, key = _SIGNING[name]
        wrong = f"{name} without ANTHROPIC_API_KEY uses {credentials}, and {package} is not installed"
        remedy = f"pip install 'anthropic[{name}]', or set ANTHROPIC_API_KEY to {key}"
        found.append(Problem("ANTHROPIC_PROVIDER", wrong, remedy))
    return found


def _is_installed(package: str) -> bool:
    """Whether *package* can be imported; its parents may be missing too."""
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:
        return False


def _address(provider: Provider) -> str:
    """Where the provider is, as the SDK's clients have it."""
    region = provider.region
    match provider.name:
        case "bedrock":
            return f"https://bedrock-runtime.{region}.amazonaws.com"
        case "vertex" if region == "global":
            return "https://aiplatform.googleapis.com/v1"
        case "vertex" if region in {"us", "eu"}:
            return f"https://aiplatform.{region}.rep.googleapis.com/v1"
        case "vertex":
            return f"https://{region}-aiplatform.googleapis.com/v1"
        case "foundry":
            return f"https://{provider.resource}.services.ai.azure.com/anthropic/"
    return DEFAULT_BASE_URL
