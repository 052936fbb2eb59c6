//! Parses the command line, dispatches, and turns the result into an exit code; nothing else.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    parallax::cli::run()
}
