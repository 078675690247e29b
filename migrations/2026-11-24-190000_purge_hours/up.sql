-- Hours of projections have an expiry of their own; answers about the time before come from the messages.

ALTER TABLE projections ADD COLUMN kept_from timestamptz;
COMMENT ON COLUMN projections.kept_from IS 'Rows of hours before this time were purged; NULL if none were.';
