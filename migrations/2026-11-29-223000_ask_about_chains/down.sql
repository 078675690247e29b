DROP FUNCTION authored_blocks(timestamptz, timestamptz);
DROP FUNCTION finality_lag(timestamptz, timestamptz);
DROP FUNCTION block_propagation(timestamptz, timestamptz);
DROP VIEW version_adoption;
DROP VIEW node_state;
DROP INDEX chains_name_idx;
