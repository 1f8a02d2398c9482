"""Where the image that a submission names is, in a dataset's folder."""

from pathlib import Path

from tune_paddy.data.listing import TEST_FOLDERS, is_file


def find_test_image(data: Path, name: str) -> Path | None:
    """The file of an id: in one of the folders for test images, or in `data` itself; None: nowhere."""
    candidates = (data / folder / name for folder in (*TEST_FOLDERS, ""))
    return next((path for path in candidates if is_file(path)), None)
