"""What the tests with real clients share: the kernel under test, a recording client, processes, comm targets."""
