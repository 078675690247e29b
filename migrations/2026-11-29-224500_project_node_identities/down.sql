DELETE FROM projections WHERE name = 'node_identities';
DROP TABLE node_identities;
