"""A study's folder as it is before it is published, and what somebody does to a package."""

import hashlib
import io
import json

import pandas as pd
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from disentangle.errors import InputError
from disentangle.figure_style import SOFTWARE
from disentangle.figures import Figure
from disentangle.publish import publish
from disentangle.rows import read_rows
from disentangle.study import plan, read_study

TEXT = """
name = "Toy-1"
description = "A study for tests"
steps = 5
seeds = [0, 1, 2]
metrics = ["mig", "sap"]
calibration = ["noise"]
selection = ["oracle:mig"]
[[runs]]
dataset = "toy"
method = "beta_vae"
hyper = { beta = [1, 4] }
"""
COMMIT = "0123456789" * 4
MIG, SAP = ("mig", "mig@1"), ("sap", "sap@1")
SVG = "<svg>drawn</svg>"


def provenance(**changes):
    return {
        "version": "0.1.0", "commit": COMMIT, "dirty": False, "python": "3.11.7", "torch": "2", "numpy": "2",
        "scikit-learn": "1", "device": "cpu", "hardware": "a machine", "threads": 1, **changes,
    }  # fmt: skip


def row_of(task, values, kind="run", status="done"):
    fields = ("method", "dataset", "hyper", "seed", "steps", "batch", "lr", "latents")
    run = {"method": "noise", "dataset": "toy", "hyper": {}, "seed": 0, "latents": 10}
    shared = {"points": "10000", "seconds": 0.1234567, "repeats": 1, "std": None}
    return {
        "format": 1, "kind": kind, "key": task.key(), "study": "Toy-1", "status": status,
        "run": {f: getattr(task, f) for f in fields} if kind == "run" else run,
        "data": {"name": "toy", "source": "drawn", "checksum": "sha256:0a", "note": "Drawn."},
        "scores": [{"name": n, "id": i, "value": v, **shared} for (n, i), v in values.items()],
        "pictures": ["pictures/a.png", "pictures/A.webp"], "model_sha256": "", "provenance": provenance(),
        "seconds": {"train": 1.5, "encode": 0.25},
    }  # fmt: skip


def write(folder, row):
    (folder / "rows" / f"{row['key']}.json").write_text(json.dumps(row))


def change(folder, edit):
    """Edit the row of the first run."""
    row = next(row for row in read_rows(folder) if row["kind"] == "run" and row["status"] == "done")
    edit(row)
    write(folder, row)
    return row


def tasks_of(folder):
    return plan(read_study(folder), {"toy": "drawn"})


def png(name):
    """A picture that says that the suite drew it under this name."""
    picture, marks = io.BytesIO(), PngInfo()
    for key, text in (("Software", SOFTWARE), ("Title", name)):
        marks.add_text(key, text)
    Image.new("L", (4, 4)).save(picture, "PNG", pnginfo=marks)
    return picture.getvalue()


def quick_figures(monkeypatch):
    """A figure that takes no time to draw."""

    def draw(frame, *_):
        place = ("toy", "drawn", "", "correlation")
        numbers = pd.DataFrame({"dataset": ["toy"], "spearman": [0.5], "n": [len(frame)]})
        return [
            Figure(
                "toy-drawn-correlation",
                *place,
                "A title",
                "A caption",
                png("toy-drawn-correlation"),
                SVG,
                numbers,
            )
        ]

    monkeypatch.setattr("disentangle.figures.draw", draw)


def make_study(folder):
    """Four runs of six, one of them diverged, and a calibration, with what else lies in a study's folder."""
    for name in ("rows", "pictures", "figures", "runs/abc"):
        (folder / name).mkdir(parents=True)
    (folder / "study.toml").write_text(TEXT)
    tasks = tasks_of(folder)
    for task, values in zip(tasks[:3], ((1 / 3, 2.5e-17), (0.1 + 0.2, 0.5), (0.25, None)), strict=True):
        write(folder, row_of(task, dict(zip((MIG, SAP), values, strict=True))))
    write(folder, row_of(tasks[3], {}, status="diverged"))
    write(folder, row_of(tasks[6], {MIG: 0.9, SAP: 0.9}, kind="calibration"))
    for name in ("pictures/a.png", "pictures/A.webp"):
        Image.new("L", (4, 4)).save(folder / name)
    for name in (
        "runs/abc/model.safetensors",
        "runs/abc/lock",
        "rows/.b.json.part",
        "rows/c.json.damaged",
        "pictures/.a.png",
        "pictures/of-no-row.png",
    ):
        (folder / name).write_bytes(b"not to be published")
    return folder


def files(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def contents_of(folder):
    return {name: (folder / name).read_bytes() for name in files(folder)}


def descriptor(folder):
    return json.loads((folder / "datapackage.json").read_text())


def sign(folder, edit=lambda told: None):
    """What somebody does who edits a package and its descriptor, and mends its checksums."""
    told = descriptor(folder)
    for one in told["resources"]:
        content = (folder / one["path"]).read_bytes()
        one |= {"bytes": len(content), "hash": f"sha256:{hashlib.sha256(content).hexdigest()}"}
    told = edit(told) or told
    (folder / "datapackage.json").write_text(told if isinstance(told, str) else json.dumps(told))
    names = [line.split("  ")[1] for line in (folder / "SHA256SUMS").read_text().splitlines()]
    lines = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    (folder / "SHA256SUMS").write_text("".join(lines))


def replace(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def refused(folder, message, **options):
    before = contents_of(folder)
    with pytest.raises(InputError, match=message) as error:
        publish(folder, **options)
    assert contents_of(folder) == before  # nothing is written
    return str(error.value)
