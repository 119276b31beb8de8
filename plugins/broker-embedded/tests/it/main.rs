//! What the embedded broker promises, shown with real processes on a real folder.

mod program;
mod two_processes;
