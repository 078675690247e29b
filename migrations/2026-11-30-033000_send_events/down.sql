DROP TABLE event_transports;
