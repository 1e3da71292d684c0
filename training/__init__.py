"""Training, evaluation and benchmarks, around the engine. Never installed into Slicer. Empty so far."""
