"""What all errors that explain themselves have in common."""


class TrainingError(ValueError):
    """Input or settings that can't be used: the message says what was found, where, and what was expected."""
