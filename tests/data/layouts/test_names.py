import pytest

from tune_paddy.data.layouts.names import Role, is_sample, is_submission, role_of, roles_of


@pytest.mark.parametrize(
    ("names", "role"),
    [
        (
            "train Train TRAIN training train_set trainset train1 images-train trainImages train_224x224 trn",
            Role.TRAIN,
        ),
        ("trainval train_val trainLabels train_labels", Role.TRAIN),
        ("val valid Validation validation_set dev valImages", Role.VALIDATION),
        ("test tests Testing test1 test_stg1 testset test_data tst pred predictions unlabeled", Role.TEST),
        ("fold1 fold_2 Fold-3 foldA cv_1 split2", Role.FOLD),
        ("cat invalid contest latest steam_train crash-test images 2024 subset developer", None),
    ],
    ids=["train", "train with validation", "validation", "test", "fold", "none"],
)
def test_the_meaning_of_a_name_is_its_role(names, role):
    assert {name: role_of(name) for name in names.split()} == dict.fromkeys(names.split(), role)


def test_unknown_words_are_passed_over_if_another_name_shares_them():
    assert roles_of(["leaf_train", "leaf_test", "bullet_train"]) == {
        "leaf_train": Role.TRAIN,
        "leaf_test": Role.TEST,
    }


def test_names_of_sample_submissions_are_told_from_those_of_submissions():
    samples = [
        "sample_submission.csv",
        "sampleSubmission.csv",
        "SampleSubmission_v2.csv",
        "submission_format.csv",
    ]
    assert all(map(is_sample, samples))
    assert not any(map(is_sample, ["submission.csv", "samples.csv"]))
    assert is_submission("my_submission_3.csv")
