"""The search: the only place that knows Ray and Optuna."""

from tune_paddy.search.ray.environment import prepare_environment

prepare_environment()
