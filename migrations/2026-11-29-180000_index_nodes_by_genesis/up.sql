-- A chain is asked for by its name or its genesis hash.

CREATE INDEX nodes_genesis_idx ON nodes (genesis_hash, session_at DESC);
