"""Who calls, and what they may do: TLS, tokens, scopes."""
