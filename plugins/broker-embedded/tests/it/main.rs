//! What the embedded broker promises, shown with real processes on a real folder.

mod bounds;
mod conformance;
mod crash;
mod desk;
mod options;
mod order;
mod program;
mod queues;
mod retention;
mod starts;
mod trouble;
mod two_processes;
