//! `parallax serve` and `parallax check` through the built binary: real processes, real sockets, and whoever means them ill.
//!
//! Some of those at the other end are this executable again, in a role (`roles.rs`): only a process of its own can die, change its uid, or have
//! ten thousand connections. Needs root; without it each test is reported as ignored, and fails where `CI` is set.
#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails; without the standard harness clippy does not see that it is one"
)]

mod bounds;
mod callers;
mod client;
mod crowd;
mod roles;
mod server;
mod socket;

use libtest_mimic::{Arguments, Trial};

type Test = (&'static str, fn());

/// A name in words is the function's.
macro_rules! tests {
    ($($module:ident :: $name:ident),* $(,)?) => { &[$((stringify!($name), $module::$name)),*] };
}

const TESTS: &[Test] = tests![
    bounds::what_is_asked_wrongly_is_refused_with_the_status_that_says_so,
    bounds::a_body_beyond_the_bound_is_refused_and_a_broken_one_too,
    bounds::who_is_too_slow_to_ask_is_told_so_and_dropped,
    bounds::who_asks_too_often_is_told_when_to_come_again,
    callers::a_caller_is_answered_on_both_ways_of_knowing_it_from_its_own_network_namespace_too,
    callers::a_caller_that_changed_its_uid_since_it_connected_is_refused,
    callers::a_connection_that_outlives_its_process_is_refused,
    callers::a_process_that_got_the_pid_of_the_one_that_connected_is_not_taken_for_it,
    callers::a_process_that_got_the_pid_before_the_server_looked_is_not_taken_for_it,
    callers::a_caller_that_passed_its_end_on_and_closed_it_can_not_be_proven,
    callers::a_caller_that_is_not_visible_is_refused,
    client::a_server_that_is_gone_makes_the_run_undetermined_and_is_named,
    client::a_server_that_is_gone_is_said_and_the_views_that_were_named_are_used,
    client::what_is_no_findings_document_is_never_taken_for_coherence,
    client::an_answer_without_end_is_not_read_without_end,
    client::a_server_that_has_no_time_is_asked_again_when_it_said,
    client::a_server_that_says_nothing_is_waited_for_until_the_deadline,
    client::the_hosts_findings_are_rendered_here_and_come_to_the_same_exit_code,
    client::what_the_project_waives_is_shown_as_waived_by_the_project,
    client::a_view_that_is_required_here_and_was_not_seen_there_is_missing,
    client::no_fingerprint_is_sent,
    client::while_the_server_answers_the_directory_is_not_read,
    crowd::ten_thousand_who_say_nothing_do_not_stop_the_next_honest_one,
    crowd::ten_thousand_who_lie_do_not_stop_the_next_honest_one,
    crowd::ten_thousand_who_drip_do_not_stop_the_next_honest_one,
    crowd::ten_thousand_who_leave_do_not_stop_the_next_honest_one,
    socket::the_socket_is_for_everybody_and_goes_with_its_server,
    socket::a_socket_that_a_dead_server_left_is_replaced_and_a_living_ones_is_not,
    socket::what_is_no_socket_of_ours_is_left_alone,
    socket::a_directory_that_others_may_write_is_not_served_in,
    socket::the_copy_beside_the_socket_is_this_executable_and_written_only_when_it_differs,
    socket::a_socket_of_the_service_manager_is_served_on_and_left_and_readiness_is_told,
];

fn main() -> std::process::ExitCode {
    let words: Vec<String> = std::env::args().collect();
    if let Some((role, words)) = words.get(1..).and_then(|words| words.split_first())
        && role.starts_with("role:")
    {
        roles::play(role, words);
        return std::process::ExitCode::SUCCESS;
    }
    let mut arguments = Arguments::from_args();
    // Crowds have the machine to themselves.
    arguments.test_threads = Some(1);
    let root = rustix::process::geteuid().is_root();
    let missing = !root && std::env::var_os("CI").is_none();
    let trials = TESTS.iter().map(|(name, test)| {
        let (name, test) = (*name, *test);
        let shown = if missing { format!("{name} (left out: needs root)") } else { name.to_owned() };
        Trial::test(shown, move || {
            test();
            Ok(())
        })
        .with_ignored_flag(missing)
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}
