DROP INDEX nodes_since_idx;
