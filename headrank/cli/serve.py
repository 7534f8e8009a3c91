"""``headrank serve``: rank documents over HTTP."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from pathlib import Path

from headrank.cli.options import number, whole
from headrank.cli.ranker_arguments import add_ranker, check_named, load
from headrank.errors import HeadRankError
from headrank.io.extras import need

_LAST = 1  # seconds that a worker without a list may take to end

KEY_VARIABLE = "HEADRANK_API_KEY"
_DESCRIPTION = f"""\
Serve one ranker over HTTP, in the form of Cohere's and Jina's rerank endpoints.

  headrank serve --model DIR --heads heads.json
  curl http://127.0.0.1:8000/v1/rerank -H 'Content-Type: application/json' \\
    -d '{{"query": "...", "documents": ["...", "..."], "top_n": 3}}'

POST /v1/rerank, /v2/rerank and /rerank rank; GET /health, /v1/models, /metrics and /openapi.json
tell of the server. Scores equal those of `headrank rerank` for a list without query_id, to the
last bit. Standard output holds one line of JSON a request, without any text of it. SIGTERM ends
the server: what was accepted is answered, new requests get 503.

Only this machine is listened to. Another --host needs an API key, in a file or in the variable
{KEY_VARIABLE}; clients send it as Authorization: Bearer KEY.
"""


def add_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = commands.add_parser(
        "serve",
        help="rank documents over HTTP",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_ranker(parser)
    place = parser.add_argument_group("server")
    place.add_argument("--host", default="127.0.0.1", help="address to listen at (127.0.0.1)")
    place.add_argument(
        "--port", type=_port, default=8000, metavar="N", help="0: any free one (8000)"
    )
    place.add_argument(
        "--name",
        action="append",
        metavar="NAME",
        help="what requests may give as model; repeat it for more (default: the end of --model)",
    )
    place.add_argument(
        "--api-key-file", metavar="FILE", help="API keys that are accepted, one a line"
    )
    place.add_argument(
        "--without-key",
        action="store_true",
        help="let everybody who reaches --host ask, though it is not this machine alone",
    )
    bounds = parser.add_argument_group("bounds (in parentheses: the defaults)")
    bounds.add_argument(
        "--queue", type=whole(1), metavar="N", help="requests inside at once; more get 429 (64)"
    )
    bounds.add_argument("--documents", type=whole(1), metavar="N", help="of a request (1000)")
    bounds.add_argument(
        "--characters", type=whole(1), metavar="N", help="of a request's texts (1000000)"
    )
    bounds.add_argument("--body-bytes", type=whole(1), metavar="N", help="of a request (8388608)")
    bounds.add_argument(
        "--timeout", type=number, metavar="S", help="seconds of a request; then 504 (60)"
    )
    bounds.add_argument(
        "--grace", type=number, metavar="S", help="seconds to answer what is inside at the end (30)"
    )
    bounds.add_argument(
        "--batch-tokens",
        type=whole(0),
        metavar="N",
        help="read waiting requests side by side, up to N tokens with padding: for GPUs; scores "
        "then equal those of a list alone up to rounding (0: one after the other)",
    )
    return parser


def run(args: argparse.Namespace) -> None:
    """Serve until a signal.

    Raises:
        HeadRankError: an extra is missing, a bound, key or address cannot be used, the ranker
            cannot be loaded, or requests were left without an answer at the end.
        SystemExit: SIGTERM came before it listened.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _end)
    from headrank.serve.options import Keys, Limits, is_loopback, listen

    need("serve", "`headrank serve`")
    given = {
        name: getattr(args, name)
        for name in ("queue", "documents", "characters", "timeout", "grace", "batch_tokens")
    }
    given["body"] = args.body_bytes
    limits = Limits(**{name: value for name, value in given.items() if value is not None})
    keys = Keys(api_keys(args.api_key_file))
    if not is_loopback(args.host) and not keys and not args.without_key:
        raise HeadRankError(
            f"--host is {args.host}, which other machines reach, and no API key is set: give one "
            f"with --api-key-file or {KEY_VARIABLE}, or say --without-key"
        )
    folder = Path(args.model)
    names = args.name or [folder.resolve().name if folder.is_dir() else args.model]
    check_named(args)
    bound = listen(args.host, args.port)
    from headrank.serve import log
    from headrank.serve.app import make_app
    from headrank.serve.server import run as serve

    ranker = load(args)
    log.begin(sys.stdout)
    app = make_app(ranker, names, limits=limits, keys=keys)
    answered = serve(app, bound)
    if not (app.worker.stop(timeout=_LAST) and answered):
        # A thread that still reads cannot be stopped, and may crash a dying interpreter.
        sys.stdout.flush()
        os._exit(0 if answered else 1)


def _end(number: int, frame: object) -> None:
    """End the process by a signal.

    Until a handler stands, the first process of a container does not get the signal at all: a stop
    while the model is loaded would be lost, and the engine would wait and kill.
    """
    raise SystemExit(128 + number)


def api_keys(path: str | None) -> list[str]:
    """Return the keys of a file and of the environment.

    Raises:
        HeadRankError: the file holds none, or the variable is set to nothing.
    """
    from headrank.io.texts import read_text

    found = []
    if path is not None:
        found = [line.strip() for line in read_text(path).splitlines() if line.strip()]
        if not found:
            raise HeadRankError(f"{path}: holds no API key; write one a line")
    if KEY_VARIABLE in os.environ:
        key = os.environ[KEY_VARIABLE].strip()
        if not key:
            raise HeadRankError(f"{KEY_VARIABLE} is set to nothing; set a key, or unset it")
        found.append(key)
    return found


def _port(text: str) -> int:
    value = whole(0)(text)
    if value > 65535:
        raise argparse.ArgumentTypeError(f"{value} is too large; the most is 65535")
    return value
