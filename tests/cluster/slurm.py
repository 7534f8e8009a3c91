"""A SLURM of one machine, started for a test: munge, a controller, a node with a pretended GPU."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "sinfo")
# Where SLURM's programs look if SLURM_CONF is not in their environment, as within a job step.
DEFAULT = Path("/etc/slurm")

CONFIG = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort=26817
SlurmdPort=26818
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={state}/munge/socket
CredType=cred/munge
StateSaveLocation={state}/controller
SlurmdSpoolDir={state}/node
SlurmctldPidFile={state}/slurmctld.pid
SlurmdPidFile={state}/slurmd.pid
SlurmctldLogFile={state}/slurmctld.log
SlurmdLogFile={state}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
ReturnToService=2
MinJobAge=600
SchedulerParameters=batch_sched_delay=0,sched_min_interval=1,sched_interval=1,bf_interval=1
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} Gres=gpu:fake:1 State=UNKNOWN
PartitionName=cpu Nodes={host} Default=YES MaxTime=2880 State=UP
PartitionName=gpu Nodes={host} MaxTime=2880 State=UP
"""


def obstacle() -> str | None:
    """Return why no SLURM can be started here; None if one can."""
    if os.geteuid() != 0:
        return "SLURM's node starts jobs for their owners, so it must be root's"
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    if absent:
        return f"no {', '.join(absent)}; on Debian: apt-get install slurm-wlm munge"
    if (DEFAULT / "slurm.conf").exists():
        return f"{DEFAULT / 'slurm.conf'} belongs to a real cluster"
    return None


@contextlib.contextmanager
def running(state: Path) -> Iterator[None]:
    """Run a cluster with partitions ``cpu`` and ``gpu`` while the block lasts.

    Args:
        state: a new folder for keys, logs and states; every folder above it is searchable.
    """
    for name in ("munge", "controller", "node"):
        (state / name).mkdir(parents=True)
    with contextlib.ExitStack() as stack:
        _write(state)
        for name in ("slurm.conf", "gres.conf"):
            DEFAULT.mkdir(exist_ok=True)
            (DEFAULT / name).symlink_to(state / name)
            stack.callback((DEFAULT / name).unlink)
        munge = state / "munge"
        _start(
            *("munged", "--force", f"--key-file={munge}/key", f"--socket={munge}/socket"),
            *(f"--pid-file={munge}/pid", f"--log-file={munge}/log", f"--seed-file={munge}/seed"),
        )
        stack.callback(_stop, munge / "pid")
        _start("slurmctld")
        stack.callback(_stop, state / "slurmctld.pid")
        _start("slurmd", "-N", _host())
        stack.callback(_stop, state / "slurmd.pid")
        _wait(state)
        yield


def _host() -> str:
    return socket.gethostname().partition(".")[0]


def _write(state: Path) -> None:
    """Write the key, the configuration and the device of the pretended GPU."""
    state.chmod(0o711)
    (state / "munge").chmod(0o711)
    key = state / "munge/key"
    key.touch(0o600)
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    # A character device like /dev/null is all that the GPU plugin asks to see.
    os.mknod(state / "gpu0", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    pages = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    values = {"state": state, "host": _host(), "cpus": os.cpu_count()}
    memory = pages * 9 // 10 // 2**20
    (state / "slurm.conf").write_text(CONFIG.format(memory=memory, **values))
    (state / "gres.conf").write_text(f"NodeName={_host()} Name=gpu Type=fake File={state}/gpu0\n")


def _start(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)


def _stop(pid: Path) -> None:
    """End the daemon that wrote its number there."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError, ValueError):
        number = int(pid.read_text())
        os.kill(number, signal.SIGTERM)
        end = time.monotonic() + 10
        while Path(f"/proc/{number}").exists() and time.monotonic() < end:
            time.sleep(0.1)


def _wait(state: Path) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        shown = subprocess.run(
            ["sinfo", "--noheader", "--format=%T"], capture_output=True, text=True, check=False
        )
        if shown.stdout.startswith("idle"):
            return
        time.sleep(0.5)
    logs = "".join(path.read_text()[-2000:] for path in sorted(state.glob("*.log")))
    raise AssertionError(f"the node did not come up: {shown.stdout}{shown.stderr}\n{logs}")
