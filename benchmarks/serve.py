"""A server under load: requests a second and how long each took, HeadRank beside an encoder.

python -m benchmarks.serve resources/models/smollm2 resources/models/minilm \
    --collection resources/collections/insuranceqa --heads examples/smollm2-heads.json

Every system answers behind the same endpoint, in a process of its own, the same requests from the
same number of clients. Systems take turns within each round, so that what else the machine does
meets all of them alike; ratios to the encoder hold, seconds are those of this machine at that time.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.command import write
from headrank.collections.collection import iter_documents, load_qrels, load_queries
from headrank.data.candidates import CandidateList
from headrank.errors import HeadRankError

ENCODER = "encoder"
SYSTEMS = ("joint", "block", "block, stored", ENCODER, "encoder, stored")
_MEMORY = 4 * 2**30  # bytes of stored documents
_POOL = 400  # documents that lists are drawn from, beside the answers


@dataclass(frozen=True)
class Parts:
    """What is served.

    Attributes:
        model: folder of the language model.
        encoder: folder of the sentence encoder.
        heads: file of heads; those of layout joint are read in block, too, as only what they cost
            matters here.
        tokens: of a document, in every system.
    """

    model: str
    encoder: str
    heads: str
    dtype: str = "bfloat16"
    tokens: int = 80
    threads: int = 2


@dataclass(frozen=True)
class Load:
    """What is asked.

    Attributes:
        documents: of a request.
        requests: of each system in all; every one has another query and list.
        clients: that ask at once, each the next request as soon as it has an answer.
        rounds: in which systems take turns.
    """

    documents: int = 20
    requests: int = 100
    clients: int = 4
    rounds: int = 5


class EncoderRanker:
    """A sentence encoder as a ranker: cosine of query and documents, all of a list in one batch.

    Attributes:
        stored: keep each text's vector, and do not encode it again.
    """

    def __init__(self, parts: Parts, stored: bool) -> None:
        from headrank.baselines.bi_encoder import load_encoder

        self.tokenizer, self.encoder = load_encoder(parts.encoder)
        self.tokens, self.stored = parts.tokens, stored
        self.vectors: dict[str, np.ndarray] = {}

    def encode(self, passages: Iterable[str]) -> None:
        """Keep the vectors of texts."""
        texts = sorted(set(passages), key=len)
        for first in range(0, len(texts), 32):
            chosen = texts[first : first + 32]
            self.vectors.update(zip(chosen, self._embedded(chosen)[0], strict=True))

    def work(self, candidates: CandidateList) -> tuple[int, int]:
        """Return one prompt and about its tokens."""
        return 1, self.tokens * len(candidates.passages)

    def rerank_lists(self, lists, *, batch: int = 1) -> Iterator[list]:
        """Yield each list's ranking."""
        from headrank.ranker.ranking import ranked

        for one in lists:
            texts = [passage.text for passage in one.passages]
            new = [text for text in texts if text not in self.vectors]
            made, _ = self._embedded([one.query, *new])
            known = self.vectors | dict(zip(new, made[1:], strict=True))
            scores = np.array([float(made[0] @ known[text]) for text in texts])
            yield ranked(one, scores, dict.fromkeys(one.doc_ids, (1, 1)))

    def _embedded(self, texts: Sequence[str]) -> tuple[np.ndarray, int]:
        import torch

        from headrank.baselines.bi_encoder import embed

        with torch.inference_mode():
            pooled, tokens = embed(self.tokenizer, self.encoder, texts, self.tokens)
            return torch.nn.functional.normalize(pooled, dim=-1).numpy(), tokens


def ranker_of(system: str, parts: Parts, texts: Iterable[str]):
    """Return a system's ranker; one that stores knows these texts."""
    from headrank.data.heads import HeadSet
    from headrank.ranker.ranker import HeadRanker
    from headrank.reading.document_store import DocumentStore

    stored = system.endswith("stored")
    if system.startswith(ENCODER):
        ranker = EncoderRanker(parts, stored)
    else:
        heads = HeadSet.load(parts.heads)
        if system != "joint":
            heads = HeadSet(heads.heads)
        ranker = HeadRanker.from_pretrained(
            parts.model,
            heads,
            prompt=None if system == "joint" else {"layout": "block"},
            document_tokens=parts.tokens,
            dtype=parts.dtype,
            store=DocumentStore(_MEMORY) if stored else None,
        )
        ranker.quiet = True
    if stored:
        ranker.encode(texts)
    return ranker


def requests_of(collection: str | os.PathLike, load: Load, seed: int = 13) -> list[dict]:
    """Return bodies of requests: test queries, each with answers among others of a pool."""
    texts = {document.doc_id: document.contents for document in iter_documents(collection)}
    queries, qrels = load_queries(collection, "test"), load_qrels(collection)
    names = sorted(queries)[: load.requests]
    if len(names) < load.requests:
        raise HeadRankError(
            f"{collection} has {len(names)} test queries; ask at most so many --requests"
        )
    generator = np.random.default_rng(seed)
    pool = generator.permutation(sorted(texts))[:_POOL].tolist()
    bodies = []
    for name in names:
        relevant = [one for one in sorted(qrels.grades.get(name, {})) if one in texts]
        drawn = generator.permutation(pool).tolist()
        chosen = list(dict.fromkeys(relevant[:3] + drawn))[: load.documents]
        bodies.append({"query": queries[name].text, "documents": [texts[one] for one in chosen]})
    return bodies


def serve(system: str, parts: Parts, texts: Sequence[str]) -> None:
    """Serve one system on a free port until a signal; its log tells the port."""
    import torch

    from headrank.serve import log
    from headrank.serve.app import make_app
    from headrank.serve.options import Limits, listen
    from headrank.serve.server import run

    torch.set_num_threads(parts.threads)
    log.begin(sys.stdout)
    app = make_app(ranker_of(system, parts, texts), [system], limits=Limits(timeout=600))
    run(app, listen("127.0.0.1", 0))


@dataclass
class Server:
    """A process that serves one system.

    Attributes:
        seconds: of each request; ``busy`` those of all rounds; ``cpu`` that the process took.
    """

    process: subprocess.Popen
    url: str
    seconds: list[float] = field(default_factory=list)
    busy: float = 0.0
    cpu: float = 0.0


def started(system: str, parts: Parts, texts: Path, stack: ExitStack) -> Server:
    """Return a system's process once it listens; the stack ends it."""
    call = [sys.executable, "-m", "benchmarks.serve", parts.model, parts.encoder]
    call += ["--heads", parts.heads, "--dtype", parts.dtype, "--threads", str(parts.threads)]
    call += ["--tokens", str(parts.tokens), "--system", system, "--texts", str(texts)]
    made = {**os.environ, "OMP_NUM_THREADS": str(parts.threads)}
    process = subprocess.Popen(call, env=made, stdout=subprocess.PIPE, text=True)
    stack.callback(process.wait)
    stack.callback(process.terminate)
    for line in process.stdout:
        told = json.loads(line)
        if told["event"] == "listening":
            # What follows is read away, or the pipe would fill.
            threading.Thread(target=process.stdout.read, daemon=True).start()
            return Server(process, f"http://127.0.0.1:{told['port']}/v1/rerank")
    raise HeadRankError(f"{system}: the server did not start; its message stands above")


def asked(server: Server, bodies: Sequence[dict], clients: int) -> None:
    """Send requests from so many clients, and note how long each took."""
    import httpx
    import psutil

    process = psutil.Process(server.process.pid)

    def ask(client: httpx.Client, body: dict) -> float:
        begun = time.perf_counter()
        client.post(server.url, json=body, timeout=600).raise_for_status()
        return time.perf_counter() - begun

    before, begun = process.cpu_times(), time.perf_counter()
    with httpx.Client() as client, ThreadPoolExecutor(clients) as pool:
        server.seconds += pool.map(lambda body: ask(client, body), bodies)
    server.busy += time.perf_counter() - begun
    after = process.cpu_times()
    server.cpu += after.user + after.system - before.user - before.system


def measure(
    parts: Parts,
    load: Load,
    bodies: Sequence[dict],
    texts: Path,
    systems: Sequence[str] = SYSTEMS,
) -> pd.DataFrame:
    """Return one row a system: requests a second, percentiles of their seconds, CPU seconds."""
    with ExitStack() as stack:
        servers = {one: started(one, parts, texts, stack) for one in systems}
        for server in servers.values():
            asked(server, bodies[:2], load.clients)
            server.seconds, server.busy, server.cpu = [], 0.0, 0.0
        for part in np.array_split(np.arange(len(bodies)), load.rounds):
            for server in servers.values():
                asked(server, [bodies[place] for place in part], load.clients)
    return pd.DataFrame([row(name, server) for name, server in servers.items()])


def row(system: str, server: Server) -> dict:
    """Return what one system took."""
    quantiles = np.quantile(server.seconds, [0.5, 0.95, 0.99])
    count = len(server.seconds)
    return {
        "system": system,
        "requests": count,
        "requests/s": count / server.busy,
        **dict(zip(("p50", "p95", "p99"), quantiles.tolist(), strict=True)),
        "cpu s/request": server.cpu / count,
    }


def with_ratios(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with each percentile and the CPU time as ratios to the encoder's."""
    own = table[table["system"] == ENCODER].iloc[0]
    columns = ("p50", "p95", "p99", "cpu s/request")
    return table.assign(**{f"{one} ratio": table[one] / own[one] for one in columns})


def arguments() -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="folder of the language model")
    parser.add_argument("encoder", help="folder of the sentence encoder")
    parser.add_argument("--heads", required=True, help="JSON of heads")
    parser.add_argument("--collection", help="folder of the texts")
    parser.add_argument("--dtype", default="bfloat16")
    for name, value in (("tokens", 80), ("threads", 2), *vars(Load()).items()):
        parser.add_argument(f"--{name}", type=int, default=value, help=f"default: {value}")
    parser.add_argument("--output", help="CSV; default: a table on stdout")
    parser.add_argument("--system", choices=SYSTEMS, help=argparse.SUPPRESS)
    parser.add_argument("--texts", help=argparse.SUPPRESS)
    return parser


def main() -> None:
    """Measure, or serve one system for a process that does."""
    import tempfile

    parser = arguments()
    options = parser.parse_args()
    if options.system is None and options.collection is None:
        parser.error("--collection is missing; such as resources/collections/insuranceqa")
    names = ("model", "encoder", "heads", "dtype", "tokens", "threads")
    parts = Parts(**{name: getattr(options, name) for name in names})
    if options.system is not None:
        serve(options.system, parts, json.loads(Path(options.texts).read_text()))
        return
    load = Load(**{name: getattr(options, name) for name in vars(Load())})
    bodies = requests_of(options.collection, load)
    with tempfile.TemporaryDirectory() as folder:
        texts = Path(folder) / "texts.json"
        texts.write_text(json.dumps(sorted({t for body in bodies for t in body["documents"]})))
        write(with_ratios(measure(parts, load, bodies, texts)).round(4), options.output)


if __name__ == "__main__":
    main()
