use std::time::Duration;

use crate::program::Program;

fn numbers(got: Vec<String>) -> Vec<u64> {
    let mut numbers: Vec<u64> = got.iter().map(|body| body.parse().unwrap()).collect();
    numbers.sort_unstable();
    numbers
}

// features: D2, D3, E1
#[test]
fn what_one_process_publishes_another_gets() {
    let folder = tempfile::tempdir().unwrap();
    let (mut one, mut other) = (Program::start(folder.path()), Program::start(folder.path()));
    other.run("subscribe orders.created - ack");
    one.run("publish orders.created * 0 100");
    other.wait_for_got(100);
    assert_eq!(numbers(other.got()), (0..100).collect::<Vec<_>>());
}

// features: D4, D5, E2
#[test]
fn a_queue_is_shared_by_processes_and_shared_again_when_one_joins_or_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let mut publisher = Program::start(folder.path());
    let mut members: Vec<Program> = (0..2).map(|_| Program::start(folder.path())).collect();
    members.iter_mut().for_each(|member| _ = member.run("subscribe jobs workers ack"));
    publisher.run("publish jobs * 0 400");
    wait_for_all(&mut members, 400);
    assert!(members.iter_mut().all(|member| member.got().len() >= 40));

    let mut third = Program::start(folder.path());
    third.run("subscribe jobs workers ack");
    members.push(third);
    let mut published = 400;
    while members[2].got().len() < 20 {
        publisher.run(&format!("publish jobs * {published} {}", published + 50));
        published += 50;
        assert!(published < 20_000, "the third member gets nothing");
    }
    wait_for_all(&mut members, published);

    let killed = std::time::Instant::now();
    members[0].kill();
    publisher.run(&format!("publish jobs * {published} {}", published + 300));
    wait_for_all(&mut members, published + 300);
    assert!(killed.elapsed() < Duration::from_secs(20), "a death is noticed before the lease of 30 s ends");
}

// features: D5, E4
#[test]
fn what_a_killed_process_had_in_hands_comes_to_another_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut publisher = Program::start(folder.path());
    let mut first = Program::start(folder.path());
    first.run("subscribe jobs workers hold");
    publisher.run("publish jobs * 0 50");
    first.wait_for_got(50);
    let mut second = Program::start(folder.path());
    second.run("subscribe jobs workers ack");
    first.kill();
    second.wait_for_got(50);
    assert_eq!(numbers(second.got()), (0..50).collect::<Vec<_>>());
}

// features: E4
#[test]
fn attempts_outlive_the_kill_of_the_process_that_failed() {
    let folder = tempfile::tempdir().unwrap();
    let mut publisher = Program::start(folder.path());
    let mut first = Program::start(folder.path());
    first.run("subscribe jobs workers retry");
    publisher.run("publish jobs - 0 1");
    first.wait_for(|line| line.starts_with("got 0 3 "));
    first.kill();
    let mut second = Program::start(folder.path());
    second.run("subscribe jobs workers ack");
    let line = second.wait_for(|line| line.starts_with("got 0 "));
    let attempts: u32 = line.split(' ').nth(2).unwrap().parse().unwrap();
    assert!(attempts >= 3, "{line}");
}

// features: D7, E6
#[test]
fn what_was_acknowledged_to_a_publisher_is_there_after_its_kill() {
    let folder = tempfile::tempdir().unwrap();
    let mut publisher = Program::start(folder.path());
    publisher.run("publish jobs * 0 1000");
    publisher.kill();
    let mut reader = Program::start(folder.path());
    reader.run("subscribe jobs workers ack");
    reader.wait_for_got(1000);
    assert_eq!(numbers(reader.got()), (0..1000).collect::<Vec<_>>());
}

#[test]
fn a_dead_process_leaves_nothing_in_the_folder_for_long() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = Program::start(folder.path());
    first.run("subscribe jobs workers ack");
    first.kill();
    let _second = Program::start(folder.path());
    let left: Vec<_> = std::fs::read_dir(folder.path().join("run/broker")).unwrap().flatten().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

// features: D5, E4, E6
#[test]
fn nothing_is_lost_while_members_and_publishers_are_killed_one_after_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let mut members: Vec<Program> = Vec::new();
    for round in 0..6 {
        let mut publisher = Program::start(folder.path());
        for _ in 0..2 {
            let mut member = Program::start(folder.path());
            member.run("subscribe jobs workers ack");
            members.push(member);
        }
        for part in 0..5 {
            let from = round * 500 + part * 100;
            publisher.run(&format!("publish jobs %17 {from} {}", from + 100));
        }
        publisher.kill();
        let oldest = members.len() - 2;
        members[oldest].kill();
    }
    wait_for_all(&mut members, 3000);
}

fn wait_for_all(members: &mut [Program], count: u64) {
    let end = std::time::Instant::now() + crate::program::LIMIT;
    loop {
        let mut all = numbers(members.iter_mut().flat_map(|member| member.got()).collect());
        all.dedup();
        if all.len() as u64 == count {
            return;
        }
        assert!(std::time::Instant::now() < end, "{} of {count} came", all.len());
        std::thread::sleep(Duration::from_millis(10));
    }
}
