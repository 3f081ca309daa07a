"""w = G(x): parametrizations and what they induce."""
