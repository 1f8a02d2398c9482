"""README of an exported ensemble: what it is, how good it is known to be, how to use it."""

from pathlib import Path

from tune_paddy.core.metrics import metric_label
from tune_paddy.serving.manifest import Manifest, ManifestMember

CARD = "README.md"

_USE = """\
## Use

```sh
tune-paddy predict {folder} photo.jpg more-photos/ --out answers.csv
mlflow models predict -m {folder} -i images.json --env-manager local
mlflow models serve -m {folder} --env-manager local --port 5001
curl http://127.0.0.1:5001/invocations -H 'Content-Type: application/json' \\
  -d '{{"dataframe_split": {{"columns": ["image"], "data": [["/path/to/photo.jpg"]]}}}}'
```

An image is a path on the machine that answers, or the file's bytes in base64. A row is answered with `label`,
`probability` and `probabilities` of all classes. A request with a bad image is refused as a whole, and the
message names its rows. `TUNE_PADDY_DEVICE` chooses the device (`auto`, `cpu`, `cuda`, `cuda:1`, `mps`);
`TUNE_PADDY_PATHS=no` makes a server accept base64 alone, so that clients cannot name files of its machine.

From Python, without MLflow:

```python
from pathlib import Path
from tune_paddy.serving.ensemble_model import EnsembleModel

answer = EnsembleModel(Path("{folder}")).predict(["photo.jpg"])
print(answer.labels(), answer.top(0))
```

## Files

In `artifacts/ensemble`, `ensemble.json` describes the ensemble (format {format}), `members` holds the weights
as safetensors, and `select.npz` the members' predictions on labelled images, from which fewer members can be
chosen when time is short. `code` holds the program that reads all this. There are no pickles.
"""


def write_card(folder: Path, manifest: Manifest, name: str) -> None:
    """Write the card beside MLflow's files; `name` is what the folder will be called."""
    (folder / CARD).write_text(describe(manifest, name), encoding="utf-8")


def describe(manifest: Manifest, folder: str) -> str:
    """The card as Markdown; `folder` is how the commands in it name the export."""
    rows = "\n".join(_row(member) for member in manifest.members)
    return (
        f"# Ensemble of search {manifest.search}\n\n"
        f"An image classifier: {len(manifest.members)} trained networks whose predictions are combined "
        f"({_rule(manifest)}), made by tune-paddy {manifest.tune_paddy}.\n\n"
        f"{_quality(manifest)}\n\n"
        f"Classes ({len(manifest.classes)}): {', '.join(manifest.classes)}\n\n"
        "## Members\n\n"
        "| member | architecture | models | parameters, M | weight, plain | weight, tta |\n"
        "|---|---|---|---|---|---|\n"
        f"{rows}\n\n" + _USE.format(folder=folder, format=manifest.format)
    )


def _row(member: ManifestMember) -> str:
    weights = {view.kind: view.weight for view in member.views}
    shares = " | ".join(f"{weights[kind]:.3f}" if kind in weights else "" for kind in ("plain", "tta"))
    return f"| {member.name} | {member.arch} | {len(member.folders)} | {member.parameters_m:.1f} | {shares} |"


def _rule(manifest: Manifest) -> str:
    rule = {"mean": "a weighted mean", "log_linear": "a weighted geometric mean"}[manifest.rule]
    return f"{rule}, weights by `{manifest.method}` for {metric_label(manifest.metric)}"


def _quality(manifest: Manifest) -> str:
    estimate = manifest.estimate
    if estimate is None:
        return "Nothing honest is known of its quality: no images were left to estimate it on."
    score = f"**{estimate.score:.4f}** ({estimate.low:.4f} to {estimate.high:.4f})"
    return (
        f"Estimated {metric_label(estimate.metric)}: {score}, "
        f"on labelled images that the selection had not seen. {manifest.note}".rstrip()
    )
