-- Authorities by their key, however it is written.

CREATE FUNCTION authority_key(id text) RETURNS bytea LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT AS $$
DECLARE
    digits CONSTANT text := '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz';
    value numeric := 0;
    key text := '';
BEGIN
    IF id ~ '^0x[0-9a-fA-F]{64}$' THEN
        RETURN decode(substr(id, 3), 'hex');
    END IF;
    -- A prefix of 1 or 2 bytes, the key, a checksum of 2 bytes.
    IF id !~ '^[1-9A-HJ-NP-Za-km-z]{45,50}$' THEN
        RETURN NULL;
    END IF;
    FOR place IN 1..length(id) LOOP
        value := value * 58 + strpos(digits, substr(id, place, 1)) - 1;
    END LOOP;
    value := div(value, 65536);
    FOR word IN 1..8 LOOP
        key := lpad(to_hex(mod(value, 4294967296)::bigint), 8, '0') || key;
        value := div(value, 4294967296);
    END LOOP;
    RETURN decode(key, 'hex');
END
$$;
COMMENT ON FUNCTION authority_key IS 'The 32 bytes of a public key that is written as an address (SS58, with the prefix of any chain) or as 0x and 64 hexadecimal digits; NULL for other texts. The checksum of an address is not looked at.';
CREATE INDEX node_identities_key_idx ON node_identities (authority_key(authority_id));
COMMENT ON COLUMN node_identities.authority_id IS 'The key with which it votes on finality (GRANDPA), as an address (SS58); no message names the account of a validator.';
