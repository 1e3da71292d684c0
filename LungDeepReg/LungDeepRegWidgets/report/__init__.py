"""What the panel of the report is made of: what goes into one, its pictures, and what they must not tell."""
