"""Model card of an exported ensemble: contents, estimated quality, usage."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from tune_paddy.core.metrics import metric_label
from tune_paddy.core.tasks.task import Task
from tune_paddy.core.views import PLAIN, TTA, in_order
from tune_paddy.serving.manifest import Manifest, ManifestMember
from tune_paddy.tracking.schema import NOT_RECORDED
from tune_paddy.tracking.ui.server import SERVING_PORT

CARD = "README.md"

_LICENCES = """\
## Licences of the pretrained weights

The members were trained from these weights. Licences and datasets are those that timm states. Read the
licence itself before you pass the model on: some forbid commercial use or set conditions for what is made
from the weights.

| architecture | licence | pretraining data | members |
|---|---|---|---|
{rows}
"""

_USE = """\
## Use

```sh
tune-paddy predict {quoted} photo.jpg more-photos/ --out answers.csv
mlflow models predict -m {quoted} -i images.json --env-manager local
mlflow models serve -m {quoted} --env-manager local --port {port}
curl http://127.0.0.1:{port}/invocations -H 'Content-Type: application/json' \\
  -d '{{"dataframe_split": {{"columns": ["image"], "data": [["/path/to/photo.jpg"]]}}}}'
```

An image is a path on the server's machine, or the file's bytes in base64. Each row of the response holds
`label`, `probability` and the `probabilities` of all classes. A request with an invalid image is refused as a
whole, and the message lists the invalid rows. `TUNE_PADDY_DEVICE` chooses the device (`auto`, `cpu`, `cuda`,
`cuda:1`, `mps`); with `TUNE_PADDY_PATHS=no` a server accepts base64 only, so that clients cannot access its
files.

From Python, without MLflow:

```python
from pathlib import Path
from tune_paddy.serving.ensemble_model import EnsembleModel

answer = EnsembleModel(Path("{folder}")).predict(["photo.jpg"])
print(answer.labels(), answer.top(0))
```

## Files

In `artifacts/ensemble`, `ensemble.json` describes the ensemble (format {format}), `members` holds the trained
networks as safetensors, and `select.npz` holds the members' predictions on labelled images, used to select
fewer members when time is short. `code` holds the program that reads these files. There are no pickles.
"""


def write_card(folder: Path, manifest: Manifest, name: str) -> None:
    """Write the card beside MLflow's files; `name` is the final name of the folder."""
    (folder / CARD).write_text(describe(manifest, name), encoding="utf-8")


def _decision(manifest: Manifest) -> str:
    """Return what an image has and how it is decided, one or two sentences."""
    task, thresholds = Task.of(manifest.task), manifest.thresholds
    if task.independent:
        levels = "0.5" if thresholds is None else ", ".join(f"{value:.3g}" for value in thresholds)
        return (
            f"An image has {task.description.removesuffix(' an image')}: those with a probability above "
            f"{levels}. `label` holds their names, joined by `|`, and `probability` the mean probability of "
            "the decisions."
        )
    if thresholds is None:
        return f"The model gives {task.description}, the most probable one."
    levels = ", ".join(f"{value:.3g}" for value in thresholds)
    return f"The model gives {task.description}, by thresholds on the expected grade ({levels})."


def describe(manifest: Manifest, folder: str) -> str:
    """Return the card as Markdown; `folder` is the export's path in the card's commands."""
    kinds = in_order({PLAIN, TTA, *(view.kind for _, view in manifest.views)})
    weights = " | ".join(f"weight, {kind}" for kind in kinds)
    rows = "\n".join(_row(member, kinds) for member in manifest.members)
    return (
        f"# Ensemble of search {manifest.search}\n\n"
        f"An image classifier: {len(manifest.members)} trained networks whose predictions are combined "
        f"({_rule(manifest)}), made by tune-paddy {manifest.tune_paddy}.\n\n"
        f"{_quality(manifest)}\n\n"
        f"Classes ({len(manifest.classes)}): {', '.join(manifest.classes)}\n\n"
        f"{_decision(manifest)}\n\n"
        "## Members\n\n"
        f"| member | architecture | models | parameters, M | {weights} |\n"
        f"|{'---|' * (4 + len(kinds))}\n"
        f"{rows}\n\n"
        f"{licences(manifest)}\n"
        + _USE.format(folder=folder, quoted=shlex.quote(folder), format=manifest.format, port=SERVING_PORT)
    )


def licences(manifest: Manifest) -> str:
    """Return a section on the pretrained weights of the members, Markdown."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for member in manifest.members:
        known = (member.licence or NOT_RECORDED, member.pretraining or NOT_RECORDED)
        found.setdefault((member.arch, *known), []).append(member.name)
    rows = "\n".join(
        f"| {arch} | {licence} | {data} | {', '.join(names)} |"
        for (arch, licence, data), names in found.items()
    )
    return _LICENCES.format(rows=rows)


def _row(member: ManifestMember, kinds: Sequence[str]) -> str:
    weights = {view.kind: view.weight for view in member.views}
    shares = " | ".join(f"{weights[kind]:.3f}" if kind in weights else "" for kind in kinds)
    return f"| {member.name} | {member.arch} | {len(member.folders)} | {member.parameters_m:.1f} | {shares} |"


def _rule(manifest: Manifest) -> str:
    rule = {"mean": "a weighted mean", "log_linear": "a weighted geometric mean"}[manifest.rule]
    return f"{rule}, weights by `{manifest.method}` for {metric_label(manifest.metric)}"


def _quality(manifest: Manifest) -> str:
    estimate = manifest.estimate
    if estimate is None:
        return "There is no estimate of its quality: no images were left to compute one."
    score = f"**{estimate.score:.4f}** ({estimate.low:.4f} to {estimate.high:.4f})"
    return (
        f"Estimated {metric_label(estimate.metric)}: {score}, "
        f"on labelled images that the selection did not use. {manifest.note}".rstrip()
    )
