"""What every layer shares: job specs, fingerprints, the store, file formats, pacing, seeds, errors.

Nothing here imports torch, Prefect, MLflow or pydantic: a bare GPU machine can use all of it.
"""
