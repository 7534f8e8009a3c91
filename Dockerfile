# The workflow, the library and their environment in one image, for Kubernetes or any container
# engine. Everything made goes into /experiment:
#
#     docker build --tag headrank:0.2.0 \
#         --build-arg HEADRANK_COMMIT="$(git describe --always --abbrev=40 --dirty)" .
#     docker run --rm --volume "$PWD/work:/experiment" headrank:0.2.0
#
# On Linux x86_64 the pinned torch of the package index carries CUDA (4.7 GB) and runs on the CPU as
# well; `--build-arg TORCH_INDEX=URL` looks in the index of CPU builds, too, that pytorch.org names.
FROM python:3.11.13-slim-bookworm

# The lock alone first, so that a change of the code repeats no download.
COPY requirements.lock /opt/headrank/
ARG TORCH_INDEX=
RUN pip install --no-cache-dir ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} torch==2.13.0 \
    && pip install --no-cache-dir --requirement /opt/headrank/requirements.lock

COPY . /opt/headrank/
RUN pip install --no-cache-dir --no-deps --editable /opt/headrank

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
