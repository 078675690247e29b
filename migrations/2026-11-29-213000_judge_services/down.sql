DROP TABLE service_heartbeats;
DROP TABLE services;
