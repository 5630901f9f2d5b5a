"""What a transaction does outside of the process: noted while it is open, and taken back where that can be done.

In reading order: `ledger` (what is noted, in memory that outlives the process), `hook` (how it comes to be known),
`notes` (from an event to entries), `paths` and `copies` (files), `held` (those that are open already), `recorder` (when
is noted what), `undo` (taking it back) and `report` (what clients are told).
"""
