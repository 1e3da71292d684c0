"""The commands of ``python -m LungDeepRegLib``. Only here does the engine write to the terminal."""
