//! Mistakes in files that a person wrote, shown with their place: file, line, column, the line itself and what was probably meant.

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme};

use super::exit::Failure;

/// A usage failure with everything that the diagnostic knows. Without colour: it goes to files too.
pub(super) fn usage(error: &dyn Diagnostic) -> Failure {
    Failure::Usage(render(error))
}

/// The same, where the mistake is ours.
pub(super) fn broken(error: &dyn Diagnostic) -> Failure {
    Failure::Broken(render(error))
}

fn render(error: &dyn Diagnostic) -> String {
    let mut text = String::new();
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor()).with_width(120);
    match handler.render_report(&mut text, error) {
        Ok(()) => text,
        Err(_) => error.to_string(),
    }
}
