"""The panels of the Slicer module, and what they need of Qt and the application: never torch."""
