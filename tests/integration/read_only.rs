//! What can be read of a server without messages: one server for all of it.

use crate::stats_health_openapi as server;
use crate::support::{TestApp, cases, run_cases};
use crate::{benchmarks, facts, node_logs, nodes, odd_requests, profiling, reputation, series};

#[test]
fn a_server_without_messages_answers() {
    let cases = cases![
        nodes::bad_parameters_are_named,
        node_logs::unknown_peers_are_404_and_bad_parameters_400,
        profiling::unknown_peers_are_404_and_bad_parameters_400,
        series::unknown_peers_are_404_and_bad_parameters_400,
        reputation::bad_parameters_are_named,
        benchmarks::unknown_ids_are_404_and_bad_fields_are_named,
        odd_requests::odd_paths_are_errors_of_the_asker_in_json,
        odd_requests::times_and_cursors_from_nowhere_are_refused_by_every_route,
        facts::answers_about_nodes_have_each_fact_with_its_type_and_unit,
        server::sizes_of_tables_and_indexes_are_listed,
        server::the_version_is_told,
        server::what_is_not_there_is_refused_in_the_same_form,
        server::dashboards_come_from_the_directory_of_assets_and_from_nowhere_else,
        server::the_pages_need_nothing_from_elsewhere,
        server::the_description_has_every_route_and_each_answers,
        server::what_is_known_of_the_interface_is_not_sent_again,
        server::the_description_is_consistent,
        server::the_page_for_language_models_has_every_operation,
    ];
    run_cases(&TestApp::start(), cases);
}
