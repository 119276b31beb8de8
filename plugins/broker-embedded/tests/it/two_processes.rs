use crate::program::Program;

// features: D2, D3, E1
#[test]
fn what_one_process_publishes_another_gets() {
    let folder = tempfile::tempdir().unwrap();
    let (mut one, mut other) = (Program::start(folder.path()), Program::start(folder.path()));
    other.run("subscribe orders.created - ack");
    one.run("publish orders.created * 0 100");
    other.wait_for_got(100);
    let mut got: Vec<u64> = other.got().iter().map(|body| body.parse().unwrap()).collect();
    got.sort_unstable();
    assert_eq!(got, (0..100).collect::<Vec<_>>());
}
