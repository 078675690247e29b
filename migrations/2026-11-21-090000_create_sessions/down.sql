DROP TABLE peer_connections;
DROP SEQUENCE peer_connections_id_seq;
DROP TABLE servers;
