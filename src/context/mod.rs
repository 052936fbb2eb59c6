//! placeholder

pub mod enter;
