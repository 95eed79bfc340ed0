"""The rows of one study's folder, or of several together, where each run counts once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from disentangle.errors import InputError
from disentangle.rows import Row, read_rows
from disentangle.study import Study, read_study


@dataclass(frozen=True)
class Joined:
    """Studies and their rows.

    Attributes:
        studies: in the order given.
        rows: of all of them; a run that several studies have is there once.
        places: the folder of each row's pictures, by its key.
        notes: what a reader must know of the joining, in sentences.
    """

    studies: list[Study]
    rows: list[Row]
    places: dict[str, Path]
    notes: list[str] = field(default_factory=list)


def read_studies(folders: Sequence[str | Path], study_path: str | Path | None = None) -> Joined:
    """Read the studies and rows of some folders.

    A run, known by its key, that several studies have is taken from the first of them; scores under metric
    ids that only a later one has are added if its model has the same checksum. UDR is that of the first
    study that compared the run.

    Args:
        folders: each holds ``rows/`` and ``study.toml``.
        study_path: the study file, for a single folder that has none.

    Raises:
        InputError: no folder, the same study twice, or a folder without a study file.
    """
    if not folders:
        raise InputError("name the folder of a study, such as results/quick")
    studies: list[Study] = []
    for folder in folders:
        study = read_study(study_path or folder, data=False)
        if study.name in [other.name for other in studies]:
            raise InputError(f"{folder}: the study {study.name!r} is there twice; expected each once")
        studies.append(study)
    return join(studies, {Path(folder): read_rows(Path(folder)) for folder in folders})


def join(studies: list[Study], read: Mapping[Path, Sequence[Row]]) -> Joined:
    """Join rows that have been read; see `read_studies`.

    Args:
        studies: in their order.
        read: the rows of each study's folder, in the same order.
    """
    rows, places = dict[str, Row](), dict[str, Path]()
    shared, rankings = set[str](), list[Row]()
    others = {folder: set[str]() for folder in read}  # keys of runs that are not those of the tables
    for folder, own in read.items():
        for row in own:
            if row["kind"] == "ranking":
                continue
            if (known := rows.get(row["key"])) is None:
                rows[row["key"]], places[row["key"]] = row, folder
                continue
            shared.add(row["key"])
            if _same(known, row):
                rows[row["key"]] = _with_scores(known, row)
            else:
                others[folder].add(row["key"])
    for folder, own in reversed([*read.items()]):  # of the same run the last one stands in a table
        rankings += [_without(row, others[folder]) for row in reversed(own) if row["kind"] == "ranking"]
    counts = len(shared), len(set[str]().union(*others.values()))
    return Joined(studies, [*rows.values(), *rankings], places, _notes(studies, *counts))


def _same(one: Row, other: Row) -> bool:
    """Whether two rows of a key are of the same model (of calibration there is none) and images."""
    models = {row.get("model_sha256") for row in (one, other)}
    return len(models) == 1 and one["data"]["checksum"] == other["data"]["checksum"]


def _without(ranking: Row, others: set[str]) -> Row:
    """A ranking without the runs whose models are not there; it still says how many it compared."""
    kept = {key: value for key, value in ranking["of"].items() if key not in others}
    return (
        {**ranking, "of": kept, "models": len(ranking["of"])} if len(kept) < len(ranking["of"]) else ranking
    )


def _with_scores(known: Row, row: Row) -> Row:
    """A row with the scores and matrices that only a later study's row of the same model has."""
    have = {score["id"] for score in known["scores"]}
    new = [{"provenance": row["provenance"], **s} for s in row["scores"] if s["id"] not in have]
    grids = [one for one in row.get("matrices", []) if one["id"] not in have]
    added = {"scores": [*known["scores"], *new], "matrices": [*known.get("matrices", []), *grids]}
    return {**known, **added} if new else known


def _notes(studies: Sequence[Study], shared: int, other: int) -> list[str]:
    notes = []
    if len(studies) > 1:
        notes.append(f"Rows of the studies {', '.join(study.name for study in studies)}.")
    if shared:
        notes.append(f"{shared} rows are of several studies and count once: that of the study named first.")
    if other:
        notes.append(
            f"{other} of them have other models or images in a later study (of other software, hardware or "
            "files): nothing of those is here."
        )
    return notes
