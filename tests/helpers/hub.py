"""A stand-in of the Hugging Face hub's HTTP API on a local socket, as far as rankers need it."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml


@dataclass
class Repository:
    """Commits in their order, each with all of its files."""

    private: bool = False
    commits: list[tuple[str, dict[str, bytes], str]] = field(default_factory=list)

    def commit(self, files: Mapping[str, bytes], message: str = "") -> str:
        """Add a commit; return its hash."""
        seen = repr((len(self.commits), sorted(files.items()), message)).encode()
        name = hashlib.sha1(seen).hexdigest()
        self.commits.append((name, dict(files), message))
        return name

    def at(self, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """Return hash and files of ``main`` or of a commit."""
        found = [one for one in self.commits if revision in (one[0], "main")]
        return found[-1][:2] if found else None


@dataclass
class Hub:
    """What the stand-in holds, and what it was asked.

    Attributes:
        asked: ``METHOD path`` of each request.
        refusal: status with which every change is refused; None takes them.
    """

    repositories: dict[str, Repository] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    refusal: int | None = None

    def add(self, name: str, folder: Path) -> str:
        """Add a folder as one commit of a repository; return its hash."""
        files = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }
        return self.repositories.setdefault(name, Repository()).commit(files)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self._path()
        match path.split("/", 7 if path.startswith("/api/") else 5)[1:]:
            case ["api", "models", owner, name]:
                self._info(f"{owner}/{name}", "main")
            case ["api", "models", owner, name, "revision", revision]:
                self._info(f"{owner}/{name}", revision)
            case ["api", "models", _, _, "tree", _, _]:  # none has the folder that is asked for
                self._send(404, b"", {"X-Error-Code": "EntryNotFound"})
            case ["api", "models", owner, name, "tree", revision]:
                if (found := self._find(f"{owner}/{name}", revision)) is not None:
                    self._json(
                        [
                            {"type": "file", "path": file, "size": len(data), "oid": _oid(data)}
                            for file, data in found[1].items()
                        ]
                    )
            case [owner, name, "resolve", revision, file]:
                if (found := self._find(f"{owner}/{name}", revision)) is None:
                    return
                commit = {"X-Repo-Commit": found[0]}
                if file not in found[1]:
                    self._send(404, b"", {"X-Error-Code": "EntryNotFound", **commit})
                    return
                data = found[1][file]
                self._send(200, data, {"ETag": f'"{_oid(data)}"', **commit})
            case _:
                self._send(404, b"")

    def do_POST(self) -> None:
        path = self._path()
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.hub.refusal is not None:
            self._send(self.hub.refusal, b'{"error": "You may not write here"}')
            return
        match path.split("/")[1:]:
            case ["api", "repos", "create"]:
                asked = json.loads(body)
                name = f"{asked['organization']}/{asked['name']}"
                if name in self.hub.repositories:
                    url = f"{_url(self.server)}/{name}"
                    self._json({"error": "You already created this repo", "url": url}, 409)
                    return
                made = Repository(asked.get("visibility") == "private")
                made.commit({".gitattributes": b""}, "initial commit")
                self.hub.repositories[name] = made
                self._json({"url": f"{_url(self.server)}/{name}", "name": name})
            case ["api", "validate-yaml"]:
                yaml.safe_load(json.loads(body)["content"].split("---")[1])
                self._json({"errors": [], "warnings": []})
            case ["api", "models", _, _, "preupload", _]:
                files = [
                    {"path": one["path"], "uploadMode": "regular", "shouldIgnore": False}
                    for one in json.loads(body)["files"]
                ]
                self._json({"files": files})
            case ["api", "models", owner, name, "commit", _]:
                self._commit(f"{owner}/{name}", [json.loads(line) for line in body.splitlines()])
            case _:
                self._send(404, b"")

    def _commit(self, name: str, lines: list[dict]) -> None:
        repository = self.hub.repositories[name]
        head, files, _ = repository.commits[-1]
        header = lines[0]["value"]
        if header.get("parentCommit", head) != head:
            self._json({"error": "A commit has happened since"}, 412)
            return
        files = dict(files)
        for line in lines[1:]:
            if line["key"] == "deletedFile":
                del files[line["value"]["path"]]
            else:
                assert line["key"] == "file"
                files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
        commit = repository.commit(files, header["summary"])
        self._json(
            {"commitUrl": f"{_url(self.server)}/{name}/commit/{commit}", "commitOid": commit}
        )

    def _path(self) -> str:
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append(f"{self.command} {path}")
        return path

    def _find(self, name: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """Return a revision's commit and files; answer that it is not there, if so."""
        repository = self.hub.repositories.get(name)
        if repository is None:
            self._send(404, b"", {"X-Error-Code": "RepoNotFound"})
            return None
        found = repository.at(revision)
        if found is None:
            self._send(404, b"", {"X-Error-Code": "RevisionNotFound"})
        return found

    def _info(self, name: str, revision: str) -> None:
        if (found := self._find(name, revision)) is not None:
            siblings = [{"rfilename": file} for file in found[1]]
            private = self.hub.repositories[name].private
            self._json({"id": name, "sha": found[0], "private": private, "siblings": siblings})

    def _json(self, value: object, status: int = 200) -> None:
        self._send(status, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, data: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def _oid(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()


def _url(server: ThreadingHTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}"


@contextlib.contextmanager
def serving() -> Iterator[tuple[Hub, str]]:
    """Serve an empty hub; yield it and its address."""
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield hub, _url(server)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def use(monkeypatch: pytest.MonkeyPatch, url: str, cache: Path) -> None:
    """Let huggingface_hub and transformers ask this hub, with this cache.

    As HF_ENDPOINT, HF_HUB_CACHE and HF_HUB_OFFLINE do, which are read when the library is imported.
    """
    from huggingface_hub import constants
    from transformers.utils import hub

    monkeypatch.setattr(hub, "_hf_api", None)  # made once, for the hub of its first use
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    for name, value in (
        ("ENDPOINT", url),
        ("HUGGINGFACE_CO_URL_TEMPLATE", template),
        ("HF_HUB_CACHE", str(cache)),
        ("HF_HUB_OFFLINE", False),
        ("HF_HUB_DISABLE_TELEMETRY", True),
    ):
        monkeypatch.setattr(constants, name, value)
