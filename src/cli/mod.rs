//! The only layer that prints, reads the environment and exits; and the one place where contexts meet probes.

pub mod look;

/// Runs the program.
pub fn run() -> std::process::ExitCode {
    if std::env::args_os().nth(1).is_some_and(|argument| argument == crate::context::enter::ARGUMENT) {
        return look::run();
    }
    std::process::ExitCode::from(70)
}
