"""The parts of a study, as pydantic models."""
