-- Questions about the status of nodes: who went offline lately, and what changed on a chain.

CREATE INDEX node_status_offline_idx ON node_status (changed_at) WHERE state = 'offline';
CREATE INDEX status_changes_chain_idx ON status_changes (genesis_hash, id) WHERE part_of IS NULL;
