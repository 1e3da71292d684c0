"""Parts of the quality panel, and what other panels need of it: the checks of a result."""
