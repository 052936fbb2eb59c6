//! Worlds: a real Docker Engine, a real nix-daemon and real containers, looked at by the built binary.
//!
//! Where the engine or Nix is missing, each test is reported as ignored, with the reason in its name; with `CI` set it fails.
//! The worlds share one machine, so they run one after the other.

#![expect(
    clippy::expect_used,
    reason = "a test may fail loudly; without the standard harness clippy does not see that it is one"
)]

mod answering;
mod asking;
mod attic;
mod beacons;
mod buckets;
mod cache;
mod cachix;
mod canaries;
mod configurations;
mod doctor;
mod engine;
mod engines;
mod escape;
mod fixtures;
mod foreign_text;
mod gitlab;
mod healthy;
mod hostile;
mod image;
mod jobs;
mod linked;
mod logins;
mod minio;
mod nix;
mod nixos;
mod paths;
mod pipeline;
mod reaching;
mod rights;
mod runner;
mod seeds;
mod server;
mod serving;
mod shown;
mod signatures;
mod ssh;
mod throwaway;
mod titles;
mod units;
mod user;
mod worlds;

use libtest_mimic::{Arguments, Failed, Trial};

type World = (&'static str, fn());

const WORLDS: &[World] = &[
    (
        "a_job_that_writes_the_hosts_database_beside_the_daemon",
        seeds::a_job_that_writes_the_hosts_database_beside_the_daemon,
    ),
    ("a_root_job_that_silently_takes_its_own_store", seeds::a_root_job_that_silently_takes_its_own_store),
    ("a_cache_on_loopback_that_only_the_host_serves", seeds::a_cache_on_loopback_that_only_the_host_serves),
    ("a_bash_from_the_host_in_an_image_without_its_loader", seeds::a_bash_from_the_host_in_an_image_without_its_loader),
    (
        "two_access_keys_for_what_the_configuration_calls_one_account",
        seeds::two_access_keys_for_what_the_configuration_calls_one_account,
    ),
    (
        "a_substituter_that_the_daemon_ignores_from_an_untrusted_user",
        seeds::a_substituter_that_the_daemon_ignores_from_an_untrusted_user,
    ),
    ("a_nix_conf_that_was_edited_after_the_daemon_started", seeds::a_nix_conf_that_was_edited_after_the_daemon_started),
    (
        "a_job_compares_its_own_view_with_those_that_the_host_published",
        pipeline::a_job_compares_its_own_view_with_those_that_the_host_published,
    ),
    (
        "a_job_knows_whether_the_daemon_of_the_published_views_would_reject_what_its_cache_serves",
        pipeline::a_job_knows_whether_the_daemon_of_the_published_views_would_reject_what_its_cache_serves,
    ),
    ("a_runner_s_job_is_looked_at_before_there_is_one", throwaway::a_runner_s_job_is_looked_at_before_there_is_one),
    (
        "an_image_with_nothing_in_it_makes_a_job_s_container_too_and_nothing_of_it_runs",
        throwaway::an_image_with_nothing_in_it_makes_a_job_s_container_too_and_nothing_of_it_runs,
    ),
    (
        "what_an_image_wants_to_be_run_is_not_run_and_what_the_engine_would_leave_behind_is_not_made",
        throwaway::what_an_image_wants_to_be_run_is_not_run_and_what_the_engine_would_leave_behind_is_not_made,
    ),
    (
        "an_image_that_is_not_there_is_not_pulled_unasked_and_a_runner_that_is_not_there_is_named",
        throwaway::an_image_that_is_not_there_is_not_pulled_unasked_and_a_runner_that_is_not_there_is_named,
    ),
    (
        "a_cache_that_listens_on_the_hosts_loopback_only_is_missed_at_the_gateway",
        beacons::a_cache_that_listens_on_the_hosts_loopback_only_is_missed_at_the_gateway,
    ),
    (
        "a_loopback_that_is_forwarded_is_proven_by_a_listener_there_and_nothing_is_left_of_it",
        beacons::a_loopback_that_is_forwarded_is_proven_by_a_listener_there_and_nothing_is_left_of_it,
    ),
    (
        "root_of_a_user_namespace_may_not_write_the_database_that_the_hosts_root_writes",
        rights::root_of_a_user_namespace_may_not_write_the_database_that_the_hosts_root_writes,
    ),
    (
        "a_file_of_another_uid_is_unobserved_for_user_1000_of_a_container",
        rights::a_file_of_another_uid_is_unobserved_for_user_1000_of_a_container,
    ),
    (
        "the_units_of_the_templates_serve_and_publish_under_a_real_systemd",
        units::the_units_of_the_templates_serve_and_publish_under_a_real_systemd,
    ),
    (
        "systemd_finds_nothing_wrong_with_the_units_of_the_templates",
        units::systemd_finds_nothing_wrong_with_the_units_of_the_templates,
    ),
    (
        "a_job_without_parallax_is_told_what_is_wrong_between_it_and_the_host",
        serving::a_job_without_parallax_is_told_what_is_wrong_between_it_and_the_host,
    ),
    (
        "no_caller_is_told_a_secret_another_job_or_what_is_not_public",
        serving::no_caller_is_told_a_secret_another_job_or_what_is_not_public,
    ),
    (
        "a_job_that_tries_one_secret_after_the_other_has_to_wait",
        serving::a_job_that_tries_one_secret_after_the_other_has_to_wait,
    ),
    (
        "a_caller_that_is_not_among_those_allowed_is_refused",
        serving::a_caller_that_is_not_among_those_allowed_is_refused,
    ),
    (
        "a_runner_that_mounts_the_whole_of_nix_is_found_before_any_job_runs",
        runner::a_runner_that_mounts_the_whole_of_nix_is_found_before_any_job_runs,
    ),
    (
        "a_runner_whose_jobs_are_to_make_a_sandbox_without_the_right_to",
        runner::a_runner_whose_jobs_are_to_make_a_sandbox_without_the_right_to,
    ),
    (
        "a_cache_on_loopback_is_found_from_the_file_and_from_the_helper_and_never_brings_its_keys_there",
        runner::a_cache_on_loopback_is_found_from_the_file_and_from_the_helper_and_never_brings_its_keys_there,
    ),
    (
        "a_job_that_runs_with_other_mounts_and_rights_than_its_runner_declares",
        runner::a_job_that_runs_with_other_mounts_and_rights_than_its_runner_declares,
    ),
    (
        "a_runner_that_was_registered_where_no_runner_reads_it",
        runner::a_runner_that_was_registered_where_no_runner_reads_it,
    ),
    (
        "a_configuration_that_the_runner_cannot_use_is_named_with_its_line",
        runner::a_configuration_that_the_runner_cannot_use_is_named_with_its_line,
    ),
    ("the_nixos_module_says_the_same_as_the_units", nixos::the_nixos_module_says_the_same_as_the_units),
    ("the_runners_for_nixos_are_those_of_the_toml_files", nixos::the_runners_for_nixos_are_those_of_the_toml_files),
    ("the_flake_offers_the_package_and_the_module", nixos::the_flake_offers_the_package_and_the_module),
    ("a_cache_signed_by_a_key_that_the_daemon_lacks", signatures::a_cache_signed_by_a_key_that_the_daemon_lacks),
    ("a_key_that_was_changed_under_its_old_name", signatures::a_key_that_was_changed_under_its_old_name),
    ("a_path_that_nobody_signed", signatures::a_path_that_nobody_signed),
    ("a_text_among_the_keys_that_is_no_key", signatures::a_text_among_the_keys_that_is_no_key),
    ("a_cache_of_another_store_directory", signatures::a_cache_of_another_store_directory),
    ("a_login_that_the_user_has_and_the_daemon_has_not", signatures::a_login_that_the_user_has_and_the_daemon_has_not),
    ("an_attic_cache_that_only_the_user_was_set_up_for", signatures::an_attic_cache_that_only_the_user_was_set_up_for),
    (
        "a_service_that_wrote_over_its_environment_is_seen_with_what_its_engine_starts_there",
        titles::a_service_that_wrote_over_its_environment_is_seen_with_what_its_engine_starts_there,
    ),
    (
        "who_only_mounts_what_is_called_after_a_container_is_not_given_its_environment",
        titles::who_only_mounts_what_is_called_after_a_container_is_not_given_its_environment,
    ),
    (
        "a_user_who_is_here_through_ssh_is_seen_with_what_the_session_gave_to_the_shell",
        titles::a_user_who_is_here_through_ssh_is_seen_with_what_the_session_gave_to_the_shell,
    ),
    (
        "a_builder_whose_host_key_the_user_knows_and_the_daemon_does_not",
        ssh::a_builder_whose_host_key_the_user_knows_and_the_daemon_does_not,
    ),
    (
        "a_builder_for_which_the_user_has_a_key_and_the_daemon_none",
        ssh::a_builder_for_which_the_user_has_a_key_and_the_daemon_none,
    ),
    ("a_name_under_which_one_job_meets_another_ssh_server", ssh::a_name_under_which_one_job_meets_another_ssh_server),
    ("a_server_that_was_given_a_new_host_key", ssh::a_server_that_was_given_a_new_host_key),
    ("a_key_for_a_store_behind_ssh_that_the_job_cannot_use", ssh::a_key_for_a_store_behind_ssh_that_the_job_cannot_use),
    ("a_file_of_known_hosts_that_the_job_may_not_read", ssh::a_file_of_known_hosts_that_the_job_may_not_read),
    (
        "a_cache_in_a_bucket_signed_by_a_key_that_the_daemon_lacks",
        buckets::a_cache_in_a_bucket_signed_by_a_key_that_the_daemon_lacks,
    ),
    ("a_bucket_that_the_daemons_key_may_not_read", buckets::a_bucket_that_the_daemons_key_may_not_read),
    ("a_bucket_that_is_not_there", buckets::a_bucket_that_is_not_there),
    ("a_runners_cache_in_a_bucket_that_is_not_there", buckets::a_runners_cache_in_a_bucket_that_is_not_there),
    ("a_healthy_host_is_silent", healthy::a_healthy_host_is_silent),
    (
        "an_engine_that_accepts_and_never_answers_costs_seconds_and_a_note",
        hostile::an_engine_that_accepts_and_never_answers_costs_seconds_and_a_note,
    ),
    (
        "a_container_that_ends_during_the_run_is_reported_and_never_coherent",
        hostile::a_container_that_ends_during_the_run_is_reported_and_never_coherent,
    ),
    (
        "a_filesystem_that_never_answers_costs_its_family_and_not_the_run",
        hostile::a_filesystem_that_never_answers_costs_its_family_and_not_the_run,
    ),
    (
        "what_stands_for_a_file_and_is_none_is_named_and_never_waited_for",
        hostile::what_stands_for_a_file_and_is_none_is_named_and_never_waited_for,
    ),
    (
        "links_into_procfs_are_neither_followed_nor_taken_for_missing",
        hostile::links_into_procfs_are_neither_followed_nor_taken_for_missing,
    ),
    (
        "runs_beside_each_other_do_not_take_the_others_children_for_contexts",
        hostile::runs_beside_each_other_do_not_take_the_others_children_for_contexts,
    ),
    (
        "without_root_it_says_what_was_lost_and_judges_the_rest",
        hostile::without_root_it_says_what_was_lost_and_judges_the_rest,
    ),
    (
        "two_runs_over_one_world_give_the_same_findings_in_the_same_order",
        hostile::two_runs_over_one_world_give_the_same_findings_in_the_same_order,
    ),
    ("foreign_text_is_shown_and_never_obeyed", foreign_text::foreign_text_is_shown_and_never_obeyed),
    ("no_canary_leaves_a_context", canaries::no_canary_leaves_a_context),
    (
        "a_container_that_sees_the_hosts_processes_reaches_nothing_through_our_children",
        escape::a_container_that_sees_the_hosts_processes_reaches_nothing_through_our_children,
    ),
    (
        "a_run_executes_nothing_but_parallax_and_changes_nothing",
        escape::a_run_executes_nothing_but_parallax_and_changes_nothing,
    ),
    ("a_cache_that_one_job_has_no_route_to", reaching::a_cache_that_one_job_has_no_route_to),
    ("an_authority_in_one_jobs_bundle_only", reaching::an_authority_in_one_jobs_bundle_only),
    ("a_certificate_that_has_ended", reaching::a_certificate_that_has_ended),
    (
        "a_registry_whose_authority_is_in_the_jobs_bundle_and_not_in_the_engines",
        engines::a_registry_whose_authority_is_in_the_jobs_bundle_and_not_in_the_engines,
    ),
    (
        "a_registry_that_the_job_reaches_and_its_engine_does_not",
        engines::a_registry_that_the_job_reaches_and_its_engine_does_not,
    ),
    (
        "a_substituter_of_both_that_the_client_alone_reaches",
        linked::a_substituter_of_both_that_the_client_alone_reaches,
    ),
    (
        "an_authority_that_a_variable_of_the_client_alone_leads_to",
        linked::an_authority_that_a_variable_of_the_client_alone_leads_to,
    ),
    (
        "who_only_calls_himself_the_engine_is_asked_of_nobodys_registries",
        engines::who_only_calls_himself_the_engine_is_asked_of_nobodys_registries,
    ),
    ("a_plain_server_where_tls_is_configured", answering::a_plain_server_where_tls_is_configured),
    ("a_certificate_that_is_for_another_name", answering::a_certificate_that_is_for_another_name),
    ("a_service_whose_clock_is_twenty_minutes_ahead", answering::a_service_whose_clock_is_twenty_minutes_ahead),
    (
        "a_certificate_that_was_renewed_on_disk_and_not_in_the_process",
        reaching::a_certificate_that_was_renewed_on_disk_and_not_in_the_process,
    ),
    (
        "a_name_that_each_side_of_a_split_horizon_takes_for_another_service",
        reaching::a_name_that_each_side_of_a_split_horizon_takes_for_another_service,
    ),
    ("a_proxy_that_one_job_knows_and_the_other_does_not", reaching::a_proxy_that_one_job_knows_and_the_other_does_not),
    (
        "a_listener_on_one_family_of_a_localhost_that_is_both",
        reaching::a_listener_on_one_family_of_a_localhost_that_is_both,
    ),
    ("a_substituter_behind_which_stands_something_else", reaching::a_substituter_behind_which_stands_something_else),
    (
        "a_variable_that_names_a_bundle_which_only_the_host_has",
        reaching::a_variable_that_names_a_bundle_which_only_the_host_has,
    ),
    (
        "what_a_container_names_is_asked_from_that_container_alone_and_without_a_credential",
        asking::what_a_container_names_is_asked_from_that_container_alone_and_without_a_credential,
    ),
    (
        "a_metadata_address_that_a_container_writes_itself_is_tried_from_it",
        asking::a_metadata_address_that_a_container_writes_itself_is_tried_from_it,
    ),
    (
        "two_hundred_endpoints_of_which_half_are_black_holes_end_by_the_deadline",
        asking::two_hundred_endpoints_of_which_half_are_black_holes_end_by_the_deadline,
    ),
    (
        "a_cache_of_actions_that_the_runner_announces_as_localhost",
        reaching::a_cache_of_actions_that_the_runner_announces_as_localhost,
    ),
    (
        "a_substituter_that_the_client_reaches_and_its_daemon_does_not",
        linked::a_substituter_that_the_client_reaches_and_its_daemon_does_not,
    ),
    (
        "three_substituters_of_a_user_of_which_the_daemon_in_its_own_network_fetches_from_none",
        linked::three_substituters_of_a_user_of_which_the_daemon_in_its_own_network_fetches_from_none,
    ),
    (
        "a_proxy_of_the_daemon_is_not_spoken_to_on_its_clients_word",
        linked::a_proxy_of_the_daemon_is_not_spoken_to_on_its_clients_word,
    ),
    ("a_substituter_on_the_loopback_of_the_client", linked::a_substituter_on_the_loopback_of_the_client),
    (
        "an_authority_in_the_clients_bundle_and_not_in_the_daemons",
        linked::an_authority_in_the_clients_bundle_and_not_in_the_daemons,
    ),
    (
        "a_daemon_is_asked_on_the_word_of_who_it_trusts_alone_and_without_a_byte",
        linked::a_daemon_is_asked_on_the_word_of_who_it_trusts_alone_and_without_a_byte,
    ),
    (
        "a_key_that_was_deleted_at_the_store_that_accepts_another",
        logins::a_key_that_was_deleted_at_the_store_that_accepts_another,
    ),
    ("a_secret_that_was_rotated_in_one_place_only", logins::a_secret_that_was_rotated_in_one_place_only),
    ("a_key_whose_user_was_disabled", logins::a_key_whose_user_was_disabled),
    (
        "a_bucket_that_one_job_may_read_and_the_other_may_not",
        logins::a_bucket_that_one_job_may_read_and_the_other_may_not,
    ),
    ("a_region_that_the_store_does_not_have", logins::a_region_that_the_store_does_not_have),
    ("a_request_that_the_store_takes_for_years_old", logins::a_request_that_the_store_takes_for_years_old),
    (
        "a_key_that_is_sent_to_another_store_than_the_one_that_knows_it",
        logins::a_key_that_is_sent_to_another_store_than_the_one_that_knows_it,
    ),
    (
        "a_registry_login_that_one_job_kept_after_it_changed",
        logins::a_registry_login_that_one_job_kept_after_it_changed,
    ),
    (
        "a_credential_is_shown_to_its_own_endpoint_and_to_nobody_else",
        shown::a_credential_is_shown_to_its_own_endpoint_and_to_nobody_else,
    ),
    (
        "a_login_for_a_cache_is_said_over_tls_only_where_the_clients_bundle_trusts_the_chain",
        shown::a_login_for_a_cache_is_said_over_tls_only_where_the_clients_bundle_trusts_the_chain,
    ),
    (
        "a_signing_key_that_was_made_anew_for_a_cachix_cache",
        cachix::a_signing_key_that_was_made_anew_for_a_cachix_cache,
    ),
    ("a_token_for_cachix_that_has_ended", cachix::a_token_for_cachix_that_has_ended),
    (
        "a_root_that_a_job_made_where_the_collector_sees_nothing",
        paths::a_root_that_a_job_made_where_the_collector_sees_nothing,
    ),
    (
        "a_root_below_a_filesystem_that_never_answers_costs_itself_and_no_other",
        paths::a_root_below_a_filesystem_that_never_answers_costs_itself_and_no_other,
    ),
    (
        "a_netrc_that_a_trusted_job_has_the_daemon_open_where_it_is_not",
        paths::a_netrc_that_a_trusted_job_has_the_daemon_open_where_it_is_not,
    ),
    ("a_netrc_that_the_user_of_a_job_may_not_read", paths::a_netrc_that_the_user_of_a_job_may_not_read),
    (
        "a_socket_that_is_not_there_or_a_directory_or_left_from_before_a_restart_or_anothers",
        paths::a_socket_that_is_not_there_or_a_directory_or_left_from_before_a_restart_or_anothers,
    ),
    (
        "a_volume_that_the_hosts_engine_takes_from_the_host_and_the_job_means_its_own",
        paths::a_volume_that_the_hosts_engine_takes_from_the_host_and_the_job_means_its_own,
    ),
    ("paths_that_there_was_no_time_for_are_unobserved", paths::paths_that_there_was_no_time_for_are_unobserved),
    ("what_is_recorded_shows_every_fact_seen_and_unseen", fixtures::what_is_recorded_shows_every_fact_seen_and_unseen),
];

/// Those that a real GitLab Runner runs the jobs of.
const WORLDS_OF_A_RUNNER: &[World] = &[
    (
        "the_job_of_the_template_fails_with_what_is_wrong_and_passes_where_it_is_repaired",
        jobs::the_job_of_the_template_fails_with_what_is_wrong_and_passes_where_it_is_repaired,
    ),
    (
        "the_runner_configurations_of_the_templates_are_coherent_and_each_by_its_own_line",
        configurations::the_runner_configurations_of_the_templates_are_coherent_and_each_by_its_own_line,
    ),
];

/// The worlds of two runs on one machine would meddle with each other: the second one waits.
fn alone() -> std::fs::File {
    let file = std::fs::File::create("/var/tmp/parallax-world.lock").expect("a lock file");
    rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive).expect("a lock");
    file
}

fn main() {
    if std::env::var_os(escape::ATTACKER).is_some() {
        return escape::attack();
    }
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let listing = arguments.list;
    let _lock = (!listing).then(alone);
    let missing = if listing { None } else { engine::available().and_then(|()| nix::available()).err() };
    let in_ci = std::env::var_os("CI").is_some();
    let no_runner = missing.clone().or_else(|| gitlab::runner::available().err());
    let trials = |worlds: &[World], missing: Option<&String>| -> Vec<Trial> {
        worlds.iter().map(|(name, world)| trial(name, *world, missing.map(String::as_str), in_ci)).collect()
    };
    let mut all = trials(WORLDS, missing.as_ref());
    all.extend(trials(WORLDS_OF_A_RUNNER, no_runner.as_ref()));
    let conclusion = libtest_mimic::run(&arguments, all);
    if !listing && missing.is_none() {
        engine::remove_images();
    }
    conclusion.exit();
}

fn trial(name: &str, world: fn(), missing: Option<&str>, in_ci: bool) -> Trial {
    match missing {
        None => Trial::test(name, move || {
            std::panic::catch_unwind(world).map_err(|panic| {
                let text = panic.downcast_ref::<String>().cloned();
                Failed::from(
                    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default(),
                )
            })
        }),
        Some(reason) if in_ci => {
            let reason = reason.to_owned();
            Trial::test(name, move || Err(Failed::from(reason)))
        }
        Some(reason) => {
            let name = format!("{name} (skipped: {reason})");
            Trial::test(name, || Ok(())).with_ignored_flag(true)
        }
    }
}
