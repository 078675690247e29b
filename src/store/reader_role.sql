-- What a role can do that is more than reading.
SELECT r.rolsuper AS is_superuser,
       r.rolname IN (current_user, session_user) AS is_own,
       r.rolcreaterole OR r.rolcreatedb OR r.rolbypassrls OR r.rolreplication AS may_make,
       EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = current_schema()::regnamespace AND pg_has_role(r.oid, c.relowner, 'MEMBER')) AS is_owner
FROM pg_roles r WHERE r.rolname = $1
