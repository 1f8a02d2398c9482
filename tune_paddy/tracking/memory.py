"""What recorded members measured of a GPU's memory."""

from tune_paddy.core.calibration import CalibrationPoint
from tune_paddy.core.errors import InputError
from tune_paddy.tracking.runs import list_members, list_searches
from tune_paddy.tracking.store import Store


def measured_points(store: Store) -> list[CalibrationPoint]:
    """Footprint and measured memory of every member that trained on a GPU, over all searches.

    Raises:
        InputError: None did.
    """
    points = [
        CalibrationPoint(
            raw_mib=member.metrics["memory/raw_mib"],
            process_mib=member.metrics["memory/measured_mib"],
            label=member.name,
        )
        for search in list_searches(store)
        for member in list_members(store, search.name)
        if member.metrics.get("memory/raw_mib", 0) > 0 and member.metrics.get("memory/measured_mib", 0) > 0
    ]
    if not points:
        raise InputError(f"{store.address}: no recorded member trained on a GPU; there is nothing to fit")
    return points
