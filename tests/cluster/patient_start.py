"""`ray start` that waits for a node while its raylet runs, as a search does."""

from ray.scripts.scripts import main

from tune_paddy.search.ray.internals import patient_start

if __name__ == "__main__":
    with patient_start():
        main()
