//! What the tests of the plugins rest on: real servers that die, freeze and come back, and connections that break.

mod kafka;
mod namespaces;
mod process;
mod proxy;
