DELETE FROM projections WHERE name = 'nodes';
DROP TABLE session_values;
DROP TABLE nodes;
