COMMENT ON COLUMN node_identities.authority_id IS 'The id with which it votes on finality, as an address (SS58); that of the validator where it has no other.';
DROP INDEX node_identities_key_idx;
DROP FUNCTION authority_key;
