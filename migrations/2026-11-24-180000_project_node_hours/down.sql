DELETE FROM projections WHERE name = 'node_hours';
DROP TABLE session_hours;
DROP TABLE node_hours;
