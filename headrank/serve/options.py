"""What bounds a server, where it listens, and who may ask."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from headrank.errors import HeadRankError

_SHORTEST_KEY = 16


@dataclass(frozen=True)
class Limits:
    """Bounds of a server; what exceeds one is refused with the value, the limit and the remedy.

    Attributes:
        queue: rerank requests inside at once: being sent, waiting or being read. With ``body``
            it bounds the memory that requests take.
        documents: of one request.
        characters: of one request, query, titles and texts together.
        body: bytes of one request.
        timeout: seconds that a request may take in all.
        grace: seconds that accepted requests have left once the server is told to stop.
        batch_tokens: tokens, padding included, of the waiting requests that are read side by side;
            0 reads one after the other, and only then are scores those of a list alone to the last
            bit. Side by side costs more on a CPU; a GPU with a small model gains.
    """

    queue: int = 64
    documents: int = 1000
    characters: int = 1_000_000
    body: int = 8 * 2**20
    timeout: float = 60.0
    grace: float = 30.0
    batch_tokens: int = 0

    def __post_init__(self) -> None:
        for name in ("queue", "documents", "characters", "body", "timeout"):
            if not getattr(self, name) > 0:
                raise HeadRankError(f"{name} is {getattr(self, name)}; give more than 0")
        for name in ("grace", "batch_tokens"):
            if not getattr(self, name) >= 0:
                raise HeadRankError(f"{name} is {getattr(self, name)}; give 0 or more")


class Keys:
    """API keys, kept as digests; no keys let everybody ask."""

    def __init__(self, keys: Sequence[str] = ()) -> None:
        for number, key in enumerate(keys, start=1):
            if not key.isascii() or not key.isprintable() or " " in key:
                raise HeadRankError(
                    f"API key {number} holds white space or characters beyond ASCII, which no "
                    "header takes; make one with: python -c 'import secrets; "
                    "print(secrets.token_urlsafe())'"
                )
            if len(key) < _SHORTEST_KEY:
                raise HeadRankError(
                    f"API key {number} has {len(key)} characters; give at least {_SHORTEST_KEY}, "
                    "so that it cannot be guessed"
                )
        self._digests = [hashlib.sha256(key.encode()).digest() for key in keys]

    def __bool__(self) -> bool:
        return bool(self._digests)

    def admits(self, authorization: bytes | None) -> bool:
        """Return whether a header ``Authorization: Bearer KEY`` holds one of the keys.

        Digests of one length are compared in constant time, each key's, so the time tells neither
        how much of a key was right nor which one.
        """
        if not self._digests:
            return True
        scheme, _, key = (authorization or b"").partition(b" ")
        given = hashlib.sha256(key.strip()).digest()
        found = False
        for digest in self._digests:
            found |= hmac.compare_digest(digest, given)
        return found and scheme.lower() == b"bearer"


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches a host's addresses.

    Raises:
        HeadRankError: the host has no address.
    """
    return all(ipaddress.ip_address(address).is_loopback for _, address in _addresses(host, 0))


def listen(host: str, port: int) -> socket.socket:
    """Return a bound socket, so that a port that is taken is told before a model is loaded.

    Raises:
        HeadRankError: the host has no address, or the port cannot be had.
    """
    family, address = _addresses(host, port)[0]
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        # A server that was killed leaves connections behind that would hold the port for minutes.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((address, port))
    except OSError as error:
        bound.close()
        raise HeadRankError(
            f"port {port} of {host} cannot be used ({error.strerror}); give another --port (0: any "
            "free one)"
        ) from None
    return bound


def _addresses(host: str, port: int) -> list[tuple[socket.AddressFamily, str]]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise HeadRankError(
            f"host {host!r} has no address ({error}); give another --host"
        ) from None
    return [(family, str(address[0])) for family, _, _, _, address in found]
