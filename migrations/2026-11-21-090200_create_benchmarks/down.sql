DROP TABLE benchmark_events;
DROP TABLE benchmarks;
DROP TABLE host_systems;
