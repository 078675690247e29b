-- The feed has the nodes that are online, and those that left lately.

CREATE INDEX nodes_since_idx ON nodes (online, since DESC, session_id DESC);
