DROP INDEX status_changes_chain_idx;
DROP INDEX node_status_offline_idx;
