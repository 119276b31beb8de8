//! What the embedded registry promises, shown with real processes on a real folder.

mod conformance;
mod life;
mod program;
mod watching;
