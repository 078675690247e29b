-- Tables and views that a role may read beyond those that were granted.
SELECT c.relname::text AS value FROM pg_class c
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND has_table_privilege($1, c.oid, 'SELECT') AND NOT c.relname = ANY ($2)
ORDER BY 1
