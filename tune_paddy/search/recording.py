"""Record a search: open its run, store its files, close the run."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tune_paddy.core.teaching.words import teachers_in_words
from tune_paddy.data.image_table import describe_images
from tune_paddy.data.split import SelectSplit
from tune_paddy.data.system.files import write_atomically
from tune_paddy.data.system.owned_folders import sweep as sweep_folders
from tune_paddy.search.cluster.claims import claimed
from tune_paddy.search.plan import SearchPlan
from tune_paddy.search.trainable import LOCKS
from tune_paddy.search.watchers.close_members import sweep
from tune_paddy.tracking.context.datasets import UsedDataset
from tune_paddy.tracking.files import IMAGES_FILE, SPACE_FILE, SPLIT_FILE, TARGETS_FILE
from tune_paddy.tracking.schema import SearchRecord
from tune_paddy.tracking.searches import open_search, recorded_run
from tune_paddy.tracking.store import Store
from tune_paddy.training.saved.shelf import MEMBERS

_LONGEST_NOTES = 4000
"""Characters of a tag that every MLflow server stores."""


@contextmanager
def recorded_search(
    plan: SearchPlan,
    split: SelectSplit,
    store: Store,
    tags: Mapping[str, object] | None = None,
    *,
    new: bool = False,
) -> Iterator[str]:
    """Keep the search's run open while the block runs; write and log its files.

    The search's folder in the storage is claimed before anything is recorded.

    Args:
        plan: Plan of the search.
        split: Select split or folds.
        store: The record, opened for the dataset's experiment.
        tags: Further tags of the run.
        new: Whether an existing run of this name is that of another search.

    Yields:
        The id of the run.

    Raises:
        InputError: The record or the storage has another search of this name.
        TunePaddyError: MLflow failed, or a file could not be written.
    """
    description = "" if plan.resumed else _description(plan)
    dataset = _used(plan, split)
    record = _record(plan, split)
    inputs = _write_inputs(plan)  # before the run exists: it cannot be resumed without them

    def tidy() -> None:
        sweep(store, plan.name, plan.shelf)
        sweep_folders(plan.folder)  # the live pool of a session that was killed
        shutil.rmtree(plan.folder / MEMBERS / LOCKS, ignore_errors=True)

    with (
        _claimed(plan, store) as claim,
        open_search(
            store,
            plan.name,
            record,
            dataset=dataset,
            write_files=lambda: [*inputs, *_write_images(plan, split)],
            tags=tags or {},
            description=description,
            at_end=tidy,
            new=new,
        ) as run_id,
    ):
        claim(run_id)
        yield run_id


@contextmanager
def _claimed(plan: SearchPlan, store: Store) -> Iterator[Callable[[str], None]]:
    """Reserve the search's folder in its storage, if it has one; yield the function that claims it."""
    if plan.storage is None:
        yield lambda _: None
        return
    known = recorded_run(store, plan.name)
    with claimed(plan.storage.parent, None if known is None else known.run_id) as claim:
        yield claim


def _record(plan: SearchPlan, split: SelectSplit) -> SearchRecord:
    """Return the record of a search; the recorded command stays that of the first session."""
    dataset, space = plan.dataset, plan.space
    return SearchRecord(
        dataset=dataset.root,
        dataset_path=(plan.data or dataset.root).expanduser().absolute(),
        dataset_fingerprint=dataset.fingerprint,
        reading=dataset.options.given(),
        sample=dataset.sample,
        skip_corrupt=bool(dataset.report.corrupt),
        skip_conflicts=bool(dataset.report.conflicts),
        image_notes="; ".join(dataset.report.notes)[:_LONGEST_NOTES],
        competition=plan.competition,
        split=split.fingerprint,
        space=space.name,
        space_fingerprint=space.fingerprint,
        space_base=space.base,
        stand_ins=space.stands_in,
        weights_dir=plan.weights_dir.absolute() if plan.weights_dir else None,
        ray_address=plan.ray_address or "",
        id_column=dataset.submission.id_column,
        label_column=dataset.submission.label_column,
        submission_form=dataset.submission.to_record(dataset.classes) or None,
        folder=plan.folder.absolute(),
        settings=plan.settings.model_dump(mode="json"),
        follow_up=plan.follow_up,
        command=None if plan.resumed else plan.command,
    )


def _used(plan: SearchPlan, split: SelectSplit) -> UsedDataset:
    dataset = plan.dataset
    counts = {
        "labelled": len(dataset.labelled),
        "select": len(split.select_ids),
        "test": len(dataset.test),
        "classes": len(dataset.classes),
    }
    return UsedDataset(dataset.root.name, dataset.fingerprint, str(dataset.root), counts)


def _description(plan: SearchPlan) -> str:
    space, data = plan.space.name, plan.dataset.root
    taught = "".join(
        f"\n\n{words[0].upper()}{words[1:]}."
        for words in teachers_in_words(plan.settings.model_dump(), len(plan.dataset.test))
    )
    return f"Search `{plan.name}` of space `{space}` on `{data}`.{taught}\n\n    {plan.command}\n"


def _write_inputs(plan: SearchPlan) -> list[Path]:
    """Write what only the command of a new search knows into the search's folder."""
    files = [plan.folder / SPACE_FILE]
    write_atomically(files[0], plan.space.text.encode())
    if plan.targets is not None:
        files.append(plan.folder / TARGETS_FILE)
        plan.targets.save(files[-1])
    return files


def _write_images(plan: SearchPlan, split: SelectSplit) -> list[Path]:
    """Write the table of the images and their split into the search's folder."""
    files = [plan.folder / IMAGES_FILE, plan.folder / SPLIT_FILE]
    write_atomically(files[0], describe_images(plan.dataset).encode())
    split.save(files[1])
    return files
