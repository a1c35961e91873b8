"""Exchange with Hugging Face: export, import, and any other causal model behind our interface."""

from curricle.models.huggingface.exporting import export_model
from curricle.models.huggingface.importing import import_model
from curricle.models.huggingface.wrapper import load_hugging_face

__all__ = ["export_model", "import_model", "load_hugging_face"]
