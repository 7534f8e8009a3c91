"""Collections of documents and queries, and the sets sampled from them."""
