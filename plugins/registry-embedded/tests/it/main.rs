//! What the embedded registry promises, shown with real processes on a real folder.

mod conformance;
mod faults;
mod life;
mod program;
mod watching;
