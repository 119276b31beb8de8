//! The last spans of the process, for `Debug.Trace`.
