"""What the rows say of a study: which code, data and machines, which scores, and what is not there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from disentangle import find
from disentangle.provenance import DISTRIBUTION
from disentangle.ranking import Ranking
from disentangle.rows import Row, is_complete
from disentangle.rules import by_id
from disentangle.run import Run
from disentangle.study import Study, Task, datasets, named, plan, rankings
from disentangle.weak import ID as WEAK
from disentangle.work import ERROR, Work

# What of a plan is counted, and how it is told.
REASONS = {
    "failed": "{} failed when last tried",
    "running": "{} running",
    "incomplete": "{} with a row that lacks scores",
    "not done": "{} not done",
    "diverged": "{} diverged",
}
UNDECIDED = {"codes", "factors per code"}  # units of scores of which neither more nor less is better
OF_WEAK = {  # the one score that is no metric's
    "title": "Weakly supervised reconstruction loss", "paper": "Locatello et al. 2020", "unit": "nats",
    "lower_is_better": True,
}  # fmt: skip


def origins(rows: Iterable[Row]) -> Iterator[tuple[Row, dict[str, Any], int]]:
    """Each row with each provenance in it, and how many scores are of that; the row's own comes first."""
    for row in rows:
        own = [score["provenance"] for score in row["scores"] if "provenance" in score]
        counted = len(row["scores"]) - len(own) + len(row.get("of", ()))  # of a ranking
        yield row, row["provenance"], counted
        for origin in own:
            yield row, origin, 1


def unclean(rows: Iterable[Row]) -> dict[str, str]:
    """The keys of rows of which the code is in no commit, each with the reason: ``"changed"`` or
    ``"unknown"``. It is enough that one score of the row is so."""
    found: dict[str, str] = {}
    for row, origin, _ in origins(rows):
        if origin.get("dirty"):
            found[row["key"]] = "changed"
        elif not origin.get("commit") or origin.get("dirty") is None:
            found.setdefault(row["key"], "unknown")
    return found


def dirty_text(rows: Sequence[Row]) -> str:
    """One sentence on rows whose code is in no commit; empty without any."""
    found = unclean(rows)
    if not found:
        return ""
    keys = ", ".join(sorted(found)[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "")
    reasons = Counter(found.values())
    parts = [f"{reasons['changed']} by code that was changed after its commit"] if reasons["changed"] else []
    parts += [f"{reasons['unknown']} by code of an unknown commit"] if reasons["unknown"] else []
    count, why = f"{len(found)} of {len(rows)} rows", ", ".join(parts)
    return f"{count} were made by code that no commit holds ({keys}): {why}."


def commits(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """The states of the suite that made rows, with the numbers of rows and of scores that are of each."""
    of_rows, of_scores = Counter[tuple[str, str, Any]](), Counter[tuple[str, str, Any]]()
    for row, origin, scores in origins(rows):
        state = (origin.get("version") or "", origin.get("commit") or "", origin.get("dirty"))
        of_rows[state] += origin is row["provenance"]
        of_scores[state] += scores
    return [
        dict(zip(("version", "commit", "dirty"), state, strict=True))
        | {"rows": of_rows[state], "scores": of_scores[state]}
        for state in sorted(of_rows, key=repr)
    ]


def states(rows: Iterable[Row], name: str) -> list[str]:
    """The different values that the provenance of rows and scores has, such as all commits."""
    return sorted({str(origin.get(name) or "") for _, origin, _ in origins(rows)})


def hardware(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """The devices that made rows, with the number of rows of each."""
    names = ("hardware", "device")
    devices = Counter(tuple(str(row["provenance"].get(name) or "") for name in names) for row in rows)
    return [dict(zip(names, one, strict=True)) | {"rows": devices[one]} for one in sorted(devices)]


def sources(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The data sets, as they were, and the suite: the ``sources`` of a descriptor."""
    names = ("name", "source", "checksum", "note")
    data = {tuple(str(row["data"].get(name, "")) for name in names) for row in rows}
    found = [_data(*one) for one in sorted(data)]
    suite = {name: ", ".join(states(rows, name)) for name in ("version", "commit")}
    return [*found, {"title": DISTRIBUTION, **suite}]


def _data(name: str, source: str, checksum: str, note: str) -> dict[str, Any]:
    title, paper, more = name, "own data", {"note": note}
    if name in find.names("dataset"):
        known = find.get("dataset", name)
        title, paper, more = (
            known.title,
            known.paper,
            {"path": known.address, "license": known.licence} | more,
        )
    about = {"title": f"{title} ({source})", "name": name, "paper": paper, "source": source}
    return about | {"checksum": checksum} | {key: text for key, text in more.items() if text}


def scores(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Every score that rows have: its metric, unit, and whether less of it is better, None for neither."""
    found = set[tuple[str, str]]()
    for row in rows:
        found |= {(score["id"], score["name"]) for score in row["scores"]}
        found |= {(row["id"], "udr")} if row["kind"] == "ranking" else set()
    return [{"metric_id": i, "score": name, **_metric(i, name)} for i, name in sorted(found)]


def _metric(metric_id: str, score: str) -> dict[str, Any]:
    """What is known of a score; nothing of one of another version."""
    stem = metric_id.partition("@")[0]
    if stem == WEAK.partition("@")[0]:
        return OF_WEAK
    if (metric := by_id().get(stem)) is None:
        return {}
    unit = metric.units.get(score, "fraction")
    less = None if unit in UNDECIDED else metric.lower_is_better
    return {"title": metric.title, "paper": metric.paper, "unit": unit, "lower_is_better": less}


def missing(
    study: Study, rows: Sequence[Row], files: Collection[str], state: Callable[[Task], str]
) -> dict[str, Any]:
    """What of a study is not there.

    Needs no data set: which images the runs are of is told by the study or, where that says ``"auto"``, by
    the rows.

    Args:
        study: the study.
        rows: all of its rows.
        files: the published files' paths.
        state: of a task that is not done: ``"running"``, ``"failed"`` or neither; see `state_now`.

    Returns:
        The numbers of tasks ``planned`` and ``there`` (diverged ones too), of each of `REASONS` with
        underscores, of rows ``beyond_the_plan`` and of ``pictures`` that rows name and are not there; under
        ``of`` the ``key`` and the name of each task that is not as planned, and ``why``.
    """
    known, work = {row["key"]: row for row in rows}, Work(study, Path())
    tasks = plan(study, _sources(study, rows))
    runs = [task for task in tasks if isinstance(task, Run)]
    tasks += rankings(study, [run for run in runs if _status(known.get(run.key())) == "done"])
    of = []
    for task in tasks:
        if why := _why(work, task, known.get(task.key()), state):
            of.append({"key": task.key(), "what": named(task), "why": why})
    reasons = Counter(one["why"] for one in of)
    pictures = {name for row in rows for name in row.get("pictures", ())}
    return {
        "planned": len(tasks),
        "there": len(tasks) - len(of) + reasons["diverged"],
        **{reason.replace(" ", "_"): reasons[reason] for reason in REASONS},
        "beyond_the_plan": len(known.keys() - {task.key() for task in tasks}),
        "pictures": len(pictures.difference(files)),
        "of": of,
    }


def missing_text(lacking: dict[str, Any]) -> str:
    """One sentence on what is there, and what is not.

    >>> counts = {"planned": 9, "there": 7, "failed": 0, "running": 0, "incomplete": 0, "not_done": 2}
    >>> missing_text(counts | {"diverged": 1, "beyond_the_plan": 0, "pictures": 0, "of": []})
    '7 of 9 planned rows are there; 2 not done, 1 diverged.'
    """
    counts = {text: lacking[reason.replace(" ", "_")] for reason, text in REASONS.items()}
    counts["rows that the study file does not ask for: {}"] = lacking["beyond_the_plan"]
    counts["pictures that are not there: {}"] = lacking["pictures"]
    told = ", ".join(text.format(count) for text, count in counts.items() if count)
    there = f"{lacking['there']} of {lacking['planned']} planned rows are there"
    return f"{there}; {told}." if told else f"{there}."


def state_now(work: Work) -> Callable[[Task], str]:
    """What says whether a task of a study's folder is running, or failed when it was last tried."""

    def state(task: Task) -> str:
        if work.is_held(task):
            return "running"
        return "failed" if (work.place(task) / ERROR).exists() else ""

    return state


def _sources(study: Study, rows: Sequence[Row]) -> dict[str, str]:
    """Which source each data set of the study was taken from."""
    found: dict[str, Counter[str]] = {}
    for row in rows:
        found.setdefault(row["data"]["name"], Counter())[row["data"]["source"]] += 1
    explicit, suite = study.source != "auto", find.names("dataset")
    sources = {}
    for name in datasets(study):
        [(seen, _)] = found.get(name, Counter(drawn=1)).most_common(1)  # without rows any will do
        sources[name] = study.source if explicit and name in suite else seen
    return sources


def _status(row: Row | None) -> str:
    return "" if row is None else str(row["status"])


def _why(work: Work, task: Task, row: Row | None, state: Callable[[Task], str]) -> str:
    """Why a task is not as planned; empty if it is."""
    if isinstance(task, Ranking):
        complete = task.is_complete(row)
    else:
        complete = is_complete(row, [*work.metric_ids, *work.label_free_ids(task)])
    if complete:
        return "diverged" if _status(row) == "diverged" else ""
    return state(task) or ("not done" if row is None else "incomplete")
