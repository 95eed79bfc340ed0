"""Where a number comes from: versions, commit, device."""

from __future__ import annotations

import functools
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

DISTRIBUTION = "disentangle-bench"
LIBRARIES = ("torch", "numpy", "scikit-learn")
SOFTWARE = ("version", "commit", "dirty", "python", *LIBRARIES)  # what a number may depend on
# What changes a number if it is edited; results and documents do not.
SOURCES = ("disentangle", "datasets", "metrics", "pyproject.toml")


def version(distribution: str = DISTRIBUTION) -> str:
    """The installed version, or ``"not installed"`` for a checkout that was put on the path."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "not installed"


@functools.cache
def commit() -> tuple[str, bool | None]:
    """The checkout's commit and whether its sources differ from it; ``("", None)`` outside a checkout."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return "", None
    try:
        head = _git(root, "rev-parse", "HEAD")
        changed = _git(root, "status", "--porcelain", "--", *SOURCES)
    except (OSError, subprocess.SubprocessError):
        return "", None
    return head, bool(changed)


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True, timeout=20
    )
    return done.stdout.strip()


def provenance(device: str) -> dict[str, Any]:
    """What a row says of the software and hardware that made it.

    Args:
        device: ``"cpu"`` or ``"cuda:0"`` as torch names it.
    """
    import torch

    head, dirty = commit()
    return {
        "version": version(),
        "commit": head,
        "dirty": dirty,
        "python": platform.python_version(),
        **{library: version(library) for library in LIBRARIES},
        "device": device,
        "hardware": hardware(device),
        "threads": torch.get_num_threads(),
        "platform": f"{platform.system()} {platform.machine()}",
    }


def hardware(device: str) -> str:
    """The device's name for people, such as ``"AMD EPYC"``."""
    import torch

    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
