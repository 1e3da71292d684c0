"""LungDeepReg: registration of lung images. Research software, not for clinical use."""
