DROP INDEX nodes_genesis_idx;
