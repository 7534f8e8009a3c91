# The workflow, the library and their environment in one image, for Kubernetes or any container
# engine. Everything made goes into /experiment:
#
#     docker build --tag headrank:0.2.0 \
#         --build-arg HEADRANK_COMMIT="$(git describe --always --abbrev=40 --dirty)" .
#     mkdir -p work
#     docker run --rm --user "$(id -u):$(id -g)" --volume "$PWD/work:/experiment" headrank:0.2.0
#
# Without `--user` it runs as root, and so the files in `work` are root's. `docker stop --time 600`
# leaves the jobs that run ten minutes to end.
#
# On Linux x86_64 the pinned torch of the package index carries CUDA (4.7 GB) and runs on the CPU as
# well; `--build-arg TORCH_INDEX=URL` looks in the index of CPU builds, too, that pytorch.org names.
#
# `--target serve` makes a smaller image of the library and the server (docs/serve.md).
FROM python:3.11.13-slim-bookworm AS base

LABEL org.opencontainers.image.title="HeadRank" \
    org.opencontainers.image.licenses="Apache-2.0"

# torch is most of both images. By itself, so that a change of the code repeats no download of it, with
# the lock's versions of what it needs.
FROM base AS torch

COPY requirements.lock /opt/headrank/
ARG TORCH_INDEX=
RUN pip install --no-cache-dir --disable-pip-version-check --root-user-action ignore \
        --constraint /opt/headrank/requirements.lock \
        ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} torch==2.13.0

# The package alone: a build leaves its folders beside the code.
FROM base AS wheel

COPY pyproject.toml README.md LICENSE /source/
COPY config /source/config
COPY headrank /source/headrank
RUN pip wheel --no-cache-dir --disable-pip-version-check --no-deps --wheel-dir /wheel /source

FROM torch AS serve

# The package's extras at the lock's versions, without what the workflow and the tests need.
COPY --from=wheel /wheel /opt/headrank/wheel
RUN pip install --no-cache-dir --disable-pip-version-check --root-user-action ignore \
        --constraint /opt/headrank/requirements.lock \
        "$(echo /opt/headrank/wheel/headrank-*.whl)[align,serve]"

# Variables stand at the command: the workflow's pods read theirs from this file.
USER 1000:1000
WORKDIR /models
EXPOSE 8000
# It asks at the port of EXPOSE: publish another one rather than giving --port.
HEALTHCHECK --start-period=5m CMD ["python", "-c", \
    "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health', timeout=5)"]
# Beyond this container others can reach it, so it asks for HEADRANK_API_KEY or --without-key.
ENTRYPOINT ["env", "PYTHONNOUSERSITE=1", "OMP_WAIT_POLICY=passive", "TOKENIZERS_PARALLELISM=false", \
    "HF_HOME=/tmp/huggingface", "headrank", "serve", "--host", "0.0.0.0"]

# The last stage is what `docker build` makes without a target.
FROM torch AS workflow

RUN pip install --no-cache-dir --disable-pip-version-check --root-user-action ignore \
        --requirement /opt/headrank/requirements.lock

COPY . /opt/headrank/
RUN pip install --no-cache-dir --disable-pip-version-check --root-user-action ignore \
        --no-deps --editable /opt/headrank

# As the Makefile sets them: hashes in one order, and threads that wait burn no core.
ENV PYTHONHASHSEED=0 \
    PYTHONNOUSERSITE=1 \
    OMP_WAIT_POLICY=passive \
    TOKENIZERS_PARALLELISM=false \
    HF_HOME=/experiment/resources/huggingface \
    IR_DATASETS_HOME=/experiment/resources/ir_datasets \
    MPLCONFIGDIR=/tmp/matplotlib \
    XDG_CACHE_HOME=/tmp/cache

# In a pod Snakemake installs the storage plugin for itself: these versions.
ENV PIP_CONSTRAINT=/opt/headrank/profiles/kubernetes/requirements.txt

# The image holds no history, and manifests name the commit. Late, as each commit ends the cache.
ARG HEADRANK_COMMIT=
ENV HEADRANK_COMMIT=$HEADRANK_COMMIT
WORKDIR /experiment
CMD ["snakemake", "--snakefile", "/opt/headrank/Snakefile", "--cores", "all"]
