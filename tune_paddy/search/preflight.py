"""What can be refused before Ray starts, which takes many seconds."""

import ray

from tune_paddy.search.plan import SearchPlan
from tune_paddy.search.resources import check_resources, resources_here
from tune_paddy.search.resuming.compatibility import check_same
from tune_paddy.search.watchers.close_members import only_one
from tune_paddy.tracking.runs import get_search
from tune_paddy.tracking.store import Store


def check_beforehand(plan: SearchPlan, store: Store | None) -> None:
    """Refuse early what `run_search` would refuse, which looks again.

    Args:
        plan: Of a search.
        store: The record, where the search goes on; None: it is new.

    Raises:
        InputError: A trial asks for more than this machine has, another process runs this search, or it is
            to go on with another space, dataset or split.
        TunePaddyError: MLflow failed.
    """
    if plan.ray_address is None and not ray.is_initialized():
        check_resources(plan.settings, resources_here(plan.ray_gpus))
    if store is not None:
        with only_one(plan.folder, plan.name):
            check_same(plan, get_search(store, plan.name), store)
