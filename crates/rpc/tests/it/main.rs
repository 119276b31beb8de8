//! A real server and a real client on loopback; where the wire itself is the matter, bare `h2` on one side.

mod call;
mod cancel;
mod conformance;
mod content_type;
mod cores;
mod deadline;
mod error;
mod flow;
mod gateway;
mod health;
mod keep_alive;
mod limit;
mod metadata;
mod middleware;
mod node;
mod path;
mod raw;
mod reflection;
mod refusal;
mod retry;
mod stop;
mod stream;
mod turn;
mod world;
