"""Whether a patient's breathing tells interstitial lung disease: from registrations to a judged classifier.

It stays here, outside the engine: no classifier trained on phantoms goes near a patient.
"""
