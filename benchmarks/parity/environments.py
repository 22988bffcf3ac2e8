"""One virtual environment a peer, made once in a cache folder and found again. It knows no scenario."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

__all__ = ["OTHERS", "PEERS", "Peer", "PeerUnavailableError", "cache_folder", "environment"]


class PeerUnavailableError(RuntimeError):
    """A peer cannot be installed or started here; the message says why and what to do, in one sentence."""


@dataclass(frozen=True)
class Peer:
    """A backtester to compare with: its distribution, pinned with what it computes with."""

    name: str
    distribution: str
    version: str
    pythons: tuple[str, ...]
    requirements: tuple[str, ...] = ()

    @property
    def pins(self) -> list[str]:
        """What pip is asked for."""
        return [f"{self.distribution}=={self.version}", *self.requirements]

    @property
    def folder(self) -> Path:
        """Where the environment is kept."""
        return cache_folder() / f"{self.name}-{self.version}"


_FRAMES = ("numpy==2.5.5", "pandas==3.1.1", "pyarrow==26.0.1")

PEERS = {
    peer.name: peer
    for peer in (
        Peer("backtrader", "backtrader", "1.9.78.123", ("3.12", "3.13", "3.11"), _FRAMES),
        Peer(
            "zipline",
            "zipline-reloaded",
            "3.2.1",
            ("3.12", "3.11", "3.13"),
            (
                "numpy==2.5.5",
                "pandas==2.3.3",
                "pyarrow==26.0.1",
                "bcolz-zipline==1.13.0",
                "exchange_calendars==4.13.2",
                "SQLAlchemy==2.1.9",
            ),
        ),
        Peer("vectorbt", "vectorbt", "1.2.0", ("3.12", "3.11", "3.13"), (*_FRAMES, "numba==0.68.1")),
        Peer("backtesting", "backtesting", "0.6.6", ("3.12", "3.13", "3.11"), _FRAMES),
    )
}

# Those that the scenarios do not go through, but whose speed is compared with.
OTHERS = {
    peer.name: peer
    for peer in (
        Peer(
            "vectorbt-rust",
            "vectorbt",
            "1.2.0",
            ("3.12", "3.11", "3.13"),
            (*_FRAMES, "numba==0.68.1", "vectorbt-rust==1.2.0"),
        ),
        Peer("bt", "bt", "1.4.1", ("3.12", "3.13", "3.11"), (*_FRAMES, "ffn==1.4.1")),
        Peer(
            "hftbacktest",
            "hftbacktest",
            "2.4.4",
            ("3.12", "3.13", "3.11"),
            ("numpy==2.2.6", "pandas==3.1.1", "pyarrow==26.0.1", "numba==0.68.1"),
        ),
        Peer(
            "nautilus_trader",
            "nautilus_trader",
            "1.231.0",
            ("3.12", "3.13"),
            ("numpy==2.5.5", "pandas==2.3.3", "pyarrow==26.0.1"),
        ),
        Peer("ml4t-backtest", "ml4t-backtest", "0.2.0", ("3.13", "3.12"), (*_FRAMES, "polars==2.1.0")),
    )
}


def environment(name: str) -> Path:
    """The Python of the peer's environment, which is made first if need be.

    Raises PeerUnavailableError when no fitting Python is found or the peer cannot be installed.
    """
    peer = (PEERS | OTHERS)[name]
    python, done = peer.folder / "bin" / "python", peer.folder / "installed.json"
    if not (done.exists() and json.loads(done.read_text()) == peer.pins):
        _install(peer, python)
        done.write_text(json.dumps(peer.pins))
    return python


def cache_folder() -> Path:
    """Environments and results live here; the environment variable QENGINE_BENCH_CACHE moves it."""
    return Path(os.environ.get("QENGINE_BENCH_CACHE") or Path.home() / ".cache" / "qengine-benchmarks").expanduser()


def _install(peer: Peer, python: Path) -> None:
    """Makes the environment anew, so that what an interrupted installation left behind cannot be taken for whole."""
    shutil.rmtree(peer.folder, ignore_errors=True)
    peer.folder.parent.mkdir(parents=True, exist_ok=True)
    _step(peer, [_interpreter(peer), "-m", "venv", str(peer.folder)])
    _step(peer, [str(python), "-m", "pip", "install", "--quiet", "--no-input", "--prefer-binary", *peer.pins])


def _interpreter(peer: Peer) -> str:
    """The first Python that runs, in the peer's order of preference, on the path or kept by pyenv."""
    kept = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    for version in peer.pythons:
        for candidate in [f"python{version}", *map(str, sorted(kept.glob(f"{version}.*/bin/python"), reverse=True))]:
            if _says(candidate) == version:
                return candidate
    raise PeerUnavailableError(
        f"{peer.name} {peer.version} needs one of Python {', '.join(peer.pythons)} with venv, and none was found "
        "on the path or in pyenv: install one of them."
    )


def _says(candidate: str) -> str:
    """Its version, or nothing where it does not run: a pyenv shim exists even for versions that are not active."""
    program = "import ensurepip, sys, venv; print('%d.%d' % sys.version_info[:2])"
    try:
        return subprocess.run([candidate, "-c", program], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def _step(peer: Peer, command: list[str]) -> None:
    """Runs one step of an installation, and turns its failure into one sentence."""
    try:
        subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        said = (getattr(error, "stderr", "") or str(error)).strip().splitlines()
        reason = next((line for line in reversed(said) if "ERROR" in line), said[-1] if said else "it gave no reason")
        raise PeerUnavailableError(
            f"{peer.name} {peer.version} cannot be installed in {peer.folder}, because {reason.strip()}: "
            "see to that, or leave this peer out with --peer."
        ) from error
