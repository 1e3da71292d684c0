"""Synthetic patients for the benchmark: chests, disease, breathing and observers, all drawn from ``frozen.toml``.

Other anatomy and other motion than what the shipped weights were trained on. They are computed, not scanned.
"""
