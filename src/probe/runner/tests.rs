//! The runner probe in small roots.
