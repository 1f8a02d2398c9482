"""Which members a search trains: Optuna's sampler, its interface to Ray Tune, and figures of the study."""
