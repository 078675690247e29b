DROP TABLE job_hours;
