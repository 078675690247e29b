DELETE FROM projections WHERE name = 'software_hours';
DROP INDEX peer_connections_connection_idx;
DROP TABLE software_hours;
