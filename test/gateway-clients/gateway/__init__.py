"""What the tests with clients of a gateway share: a running server, requests, and WebSockets."""
