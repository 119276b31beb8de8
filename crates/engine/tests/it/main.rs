//! What the engine promises to the embedded plugins, shown on real files and with real processes.

mod files;
mod locks;
mod second;
mod signals;
mod syncing;
mod writing;
