//! What Grafana needs.

mod reader_role;
