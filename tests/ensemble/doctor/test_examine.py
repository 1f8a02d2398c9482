"""What an examination says about the images that it did not judge."""

from dataclasses import replace

from tests.ensemble.doctor.test_compare import SURE, examined


def test_images_that_no_fold_holds_back_are_not_asked_to_be_searched_with_folds():
    """They are the only ones of a class, so they stay unjudged; a select split leaves most others so."""
    judged = replace(examined("one", SURE), labelled=10)
    assert judged.coverage().startswith("2 labelled images not judged: images of a class")
    assert "a search with `folds` judges all" in replace(judged, folded=False).coverage()
    assert not replace(judged, labelled=8).coverage()
