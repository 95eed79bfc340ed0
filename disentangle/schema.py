"""The schema of a study's CSV files: every column of them is described here.

`disentangle.publish_columns.check_csv` tells what in a file departs from it. Types and constraints are those
of the Table Schema standard (datapackage.org). An empty cell is a missing value, but in columns that are
`blank`, where the empty text is a value: no hyperparameters, no split, a diverged run's one line.

>>> [column.name for column in TABLES["table.csv"].columns if column.unit == "seconds"]
['train_seconds', 'encode_seconds', 'metric_seconds']
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from disentangle.publish_columns import Column, Kind, Table


def _column(name: str, type_: Kind, title: str, description: str, **options: Any) -> Column:
    return Column(name=name, type=type_, title=title, description=description, **options)


def _text(name: str, title: str, description: str, **options: Any) -> Column:
    return _column(name, "string", title, description, **options)


def _whole(name: str, title: str, description: str, minimum: int = 0, **options: Any) -> Column:
    return _column(name, "integer", title, description, minimum=minimum, **options)


def _number(name: str, title: str, description: str, **options: Any) -> Column:
    return _column(name, "number", title, description, **options)


def _seconds(name: str, title: str, description: str) -> Column:
    return _column(name, "number", title, description, unit="seconds", minimum=0)


STUDY = _text(
    "study", "Study", "The study's name, as in study.toml.",
    required=True, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
)  # fmt: skip
KIND = _text(
    "kind", "Kind", "A trained run, or a calibration representation: codes of known quality, scored alike.",
    required=True, enum=("run", "calibration"),
)  # fmt: skip
DATASET = _text("dataset", "Data set", "Its name in the suite, or that of a user's own.", required=True)
SOURCE = _text(
    "source", "Source of the images",
    "official: a file whose checksum or content was verified. drawn: redrawn by the suite. user: a user's "
    "own images, or a file of the official form with another checksum. Digits behind it are the first of the "
    "images' checksum, where the source alone does not say which images.",
    required=True, pattern=r"^((official|drawn)(:[0-9a-f]{1,8})?|user:[0-9a-f]{1,8})$",
)  # fmt: skip
SETTING = "Hyperparameters in one text, such as beta=1, k=rnd; empty where there are none."
LIKE = (
    _whole("steps", "Steps", "Optimiser steps of the run; missing for calibration."),
    _whole("batch", "Batch", "Images, or pairs, per step; missing for calibration.", 1),
    _number("lr", "Learning rate", "Adam's; missing for calibration.", minimum=0),
    _whole("latents", "Latents", "Dimensions of the code.", 1),
    _text(
        "precision", "Precision", "Arithmetic of training; missing for calibration.",
        enum=("fp32", "tf32", "bf16"),
    ),
)  # fmt: skip
SPLIT = _text("split", "Split", "Which images training showed; all alike where empty.", blank=True)
SCORED = (
    _text(
        "metric_id", "Metric id",
        "Estimator and version; options that depart from the published protocol in brackets. Numbers under "
        "different ids are not comparable. Empty where there is no score, as for a diverged run.",
        blank=True, pattern=r"^([^\s@]+@\S.*)?$",
    ),
    _text("score", "Score", "Which number of the metric; empty where there is none.", blank=True),
)  # fmt: skip
SPREAD = (
    _number("mean", "Mean", "Mean of the score over n models."),
    _number("std", "Standard deviation", "sqrt(sum((x - mean)^2) / (n - 1)); missing for n = 1.", minimum=0),
    _whole("n", "Models", "How many models have the score."),
)
INTERVAL = _number(
    "ci95_half_width", "Half width of the 95 % interval",
    "Student's interval of the mean: t(0.975, n - 1) * std / sqrt(n); missing for n = 1.", minimum=0,
)  # fmt: skip

TABLE = Table(
    title="Every score of every run",
    description="One line per run, or calibration representation, and score, with everything that is known "
    "of it. A diverged run has one line without a score.",
    key=("study", "run_key", "metric_id", "score"),
    hyper=True,
    columns=(
        STUDY,
        KIND,
        _text(
            "run_key", "Run key", "Hash of everything that changes the numbers; the row is rows/KEY.json.",
            required=True, pattern=r"^[0-9a-f]{16}$",
        ),
        DATASET,
        SOURCE,
        _text(
            "data_checksum", "Checksum of the data", "Of the official file, or of the content.",
            required=True, pattern=r"^(md5|sha256):[0-9a-f]+$",
        ),
        _text("method", "Method", "Its name, or that of the calibration representation.", required=True),
        _text("setting", "Setting", SETTING, blank=True),
        _whole("seed", "Seed", "Of everything that is drawn.", required=True),
        *LIKE,
        SPLIT,
        _text(
            "status", "Status", "diverged: a loss was not finite.", required=True, enum=("done", "diverged")
        ),
        *SCORED,
        _number(
            "value", "Value",
            "The score, with repeats their mean, in the unit that datapackage.json has under scores; missing "
            "where it is not finite.",
        ),
        _number(
            "metric_std", "Standard deviation of the metric",
            "Of the score over the repeats (n - 1), the metric's own noise; missing for one repeat.",
            minimum=0,
        ),
        _whole("repeats", "Repeats", "How often the metric drew its points anew.", 1),
        _text("points", "Points", "What the score was computed from; missing without one."),
        _text("version", "Version", "Of disentangle-bench that computed the score."),
        _text(
            "commit", "Commit", "Of the suite that computed the score; missing outside a checkout.",
            pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$",
        ),
        _column("dirty", "boolean", "Dirty", "Whether the suite's sources differed from that commit."),
        _text("python", "Python", "Version that computed the score."),
        _text("torch", "PyTorch", "Version that computed the score."),
        _text("numpy", "NumPy", "Version that computed the score."),
        _text("scikit_learn", "scikit-learn", "Version that computed the score."),
        _text("device", "Device", "Where the score's representation was computed, as torch names it."),
        _text("hardware", "Hardware", "That device's name."),
        _whole("threads", "Threads", "Of torch, on a processor.", 1),
        _whole("stack", "Stack", "How many runs trained as one; missing for calibration.", 1),
        _seconds("train_seconds", "Time of training", "By the clock; of a stack, the run's share."),
        _seconds("encode_seconds", "Time of encoding", "By the clock, for the images that are scored."),
        _seconds(
            "metric_seconds", "Time of the metric",
            "By the clock, for one draw of its points; the same on each of the metric's numbers.",
        ),
        _whole(
            "model_number", "Model number", "Of the run's counterpart in the 2019 study, if it has one.",
            maximum=12_599,
        ),
        _text(
            "model_sha256", "Checksum of the model",
            "SHA-256 of the run's model.safetensors; missing without one.",
            pattern=r"^[0-9a-f]{64}$",
        ),
    ),
)  # fmt: skip

SUMMARY = Table(
    title="Mean and spread of every setting",
    description="One line per setting and score, over its models: table.csv without the seeds. Lines of "
    "different sources of images, splits or metric ids are never joined.",
    key=(
        "kind", "dataset", "source", "method", "setting", "steps", "batch", "lr", "latents", "precision",
        "split", "metric_id", "score",
    ),
    columns=(
        KIND,
        DATASET,
        SOURCE,
        _text("method", "Method", "Its name, or that of the calibration representation.", required=True),
        _text("setting", "Setting", SETTING, blank=True),
        *LIKE,
        SPLIT,
        *SCORED,
        *SPREAD,
        _number("min", "Minimum", "The lowest score of the n models."),
        _number("max", "Maximum", "The highest score of the n models."),
        INTERVAL,
        _number(
            "metric_std", "Standard deviation of the metric",
            "sqrt(mean of table.csv's metric_std^2 over the models); missing for one repeat.", minimum=0,
        ),
        _number(
            "seed_std", "Standard deviation between seeds",
            "sqrt(max(0, std^2 - metric_std^2 / repeats)); missing for one repeat.", minimum=0,
        ),
    ),
)  # fmt: skip

SELECTION = Table(
    title="What selection rules chose",
    description="One line per rule, data set, source, split and method, and score of what the rule chose. "
    "Two rules' lines belong into no common ranking.",
    key=(
        "rule", "dataset", "source", "method", "split", "chosen", "seed", "steps", "batch", "lr", "latents",
        "precision", "metric_id", "score",
    ),
    columns=(
        _text("rule", "Rule", "Its name, such as oracle:mig or udr/model.", required=True),
        DATASET,
        SOURCE,
        _text("method", "Method", "Its name.", required=True),
        SPLIT,
        _text("chosen", "Chosen setting", f"{SETTING} Nothing was chosen where n is 0.", blank=True),
        _whole("seed", "Chosen seed", "Where the rule chooses a single model; else missing."),
        *LIKE,
        _text("criterion", "Criterion", "The score that decides; missing where none does."),
        _number("criterion_value", "Value of the criterion", "Its mean over the models of what was chosen."),
        _whole("candidates", "Candidates", "How many settings, or models, there were to choose from."),
        _whole("diverged", "Diverged", "How many runs of what was chosen diverged; they count nowhere."),
        _text("left_out", "Left out", "What could not be chosen, and why.", blank=True),
        *SCORED,
        *SPREAD,
        INTERVAL,
    ),
)  # fmt: skip

TABLES = {"table.csv": TABLE, "summary.csv": SUMMARY, "selection.csv": SELECTION}

PARTS = {"method": "between methods", "setting": "between settings of a method", "seed": "between seeds"}
DRAWN = (
    _text("hyperparameter", "Hyperparameter", "That of the horizontal axis."),
    _number("hyper_value", "Value of the hyperparameter", "On the horizontal axis."),
    _text("others", "Others", "What else tells lines of one method apart, such as k=1.", blank=True),
    *(
        column
        for of in "ab"
        for column in (
            _text(f"metric_id_{of}", f"Metric id {of}", "Of one of two metrics; see metric_id."),
            _text(f"score_{of}", f"Score {of}", "The headline of that metric."),
            _column(f"lower_is_better_{of}", "boolean", f"Less is better of {of}", "Of that headline."),
        )
    ),
    _number(
        "spearman", "Rank correlation",
        "Spearman's, over n models; missing for fewer than three models, or where a score is constant.",
        minimum=-1, maximum=1,
    ),
    _whole("methods", "Methods", "How many methods the models have.", 1),
    _whole("settings", "Settings", "How many settings the models have.", 1),
    _whole("models", "Models", "How many models have the score.", 1),
    *(
        _number(f"share_{part}", f"Share of the {part}", f"Sum of squares {told}, over that of all.")
        for part, told in PARTS.items()
    ),
    *(
        _number(f"chance_{part}", f"Share of the {part} by chance", f"As if only seeds mattered: {told}.")
        for part, told in PARTS.items()
    ),
    *(
        _number(f"adjusted_{part}", f"Share of the {part}, adjusted", f"Omega squared, {told}.")
        for part, told in PARTS.items()
    ),
    _text("note", "Note", "Why shares are missing.", blank=True),
)  # fmt: skip
KNOWN = {column.name: column for column in (*DRAWN, *TABLE.columns, *SUMMARY.columns)}


def figure(header: Iterable[str]) -> Table:
    """The schema of a figure's numbers, by the names in the file's first line; any may be there.

    >>> [column.title for column in figure(["dataset", "spearman"]).columns]
    ['Data set', 'Rank correlation']
    """
    columns = (KNOWN.get(name, Column(name=name, type="string", title=name)) for name in header)
    return Table(title="", description="The numbers that are drawn.", columns=tuple(columns), key=())
