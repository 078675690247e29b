DELETE FROM projections WHERE name = 'hardware_hours';
DROP TABLE hardware_hours;
