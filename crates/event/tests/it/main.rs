//! The rules of typed publish and subscribe, each shown over the memory broker.

mod batch;
mod behind;
mod dead_letter;
mod failure;
mod faulty;
mod middleware;
mod order;
mod publish;
mod requeue;
mod run;
mod stop;
mod subscribe;
mod support;
mod watch;
