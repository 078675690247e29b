DELETE FROM projections WHERE name = 'authorings';
DROP FUNCTION block_authoring;
DROP TABLE authorings;
