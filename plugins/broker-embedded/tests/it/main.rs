//! What the embedded broker promises, shown with real processes on a real folder.

mod bounds;
mod conformance;
mod crash;
mod damage;
mod defects;
mod desk;
mod options;
mod order;
mod privileged;
mod program;
mod queues;
mod retention;
mod safety;
mod soak;
mod starts;
mod trouble;
mod two_processes;
