"""How objects of each kind are kept: one file a library, or what belongs together."""
