"""How fast and how exact the registration is, beside others in the same run; reached by ``training/benchmark.py``."""
