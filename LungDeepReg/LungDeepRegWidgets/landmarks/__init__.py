"""The parts of the panel "Landmarks"."""
