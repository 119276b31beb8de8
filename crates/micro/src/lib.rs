//! Services that call each other and tell each other what happened.
mod logging;
mod settings;
