ALTER TABLE projections DROP COLUMN kept_from;
