"""How registrations are compared: which pairs, what is measured of each, how it is kept, and what is made of it."""
