DELETE FROM projections WHERE name = 'span_hours';
DROP TABLE span_hours;
DROP FUNCTION telemetry_span_bounds;
