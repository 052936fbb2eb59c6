//! The only layer that prints, reads the environment and exits; and the one place where contexts meet probes.

pub mod configuration;

/// Runs the program.
pub fn run() -> std::process::ExitCode {
    std::process::ExitCode::from(70)
}
