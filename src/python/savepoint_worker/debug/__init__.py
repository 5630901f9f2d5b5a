"""The debugger: debugpy behind the `debug_request`s of Jupyter's control channel (JEP 47).

Nothing of it exists until somebody debugs. Then the gateway sends `debug` and a signal: whoever reads the link next,
the main thread or one that the signal's handler starts (`doorbell`), starts the debugger's thread (`thread`), which
dials in on a connection of its own and lives until the gateway hangs up. Requests are served by ipykernel's own class
(`requests`), which talks to debugpy's adapter over a local socket (`adapter`). Once the client has disconnected,
`teardown` ends debugpy's threads and undoes its patches: a process that is being debugged cannot be copied.
"""
