use std::process::Command;
use std::time::Duration;

use crate::program::Program;

#[test]
fn a_message_that_kills_its_process_is_counted_and_the_others_pass() {
    let folder = tempfile::tempdir().unwrap();
    let mut publisher = Program::start(folder.path());
    publisher.run("publish jobs - 0 20");
    publisher.run("poison jobs");
    publisher.run("publish jobs - 20 40");
    let mut counts: Vec<u32> = Vec::new();
    let mut passed = std::collections::BTreeSet::new();
    while counts.last().is_none_or(|count| *count < 6) {
        let mut victim = Program::start(folder.path());
        victim.run("subscribe jobs workers die");
        let line = victim.wait_for(|line| line.starts_with("got poison"));
        counts.push(line.rsplit(' ').next().unwrap().parse().unwrap());
        if counts.last() < Some(&6) {
            victim.wait();
        } else {
            let all = |passed: &std::collections::BTreeSet<String>, got: Vec<String>| {
                passed.iter().cloned().chain(got).collect::<std::collections::BTreeSet<_>>().len()
            };
            let end = std::time::Instant::now() + crate::program::LIMIT;
            while all(&passed, victim.got()) < 41 {
                assert!(std::time::Instant::now() < end, "the innocent did not pass");
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        passed.extend(victim.got());
    }
    assert!(counts.windows(2).all(|pair| pair[0] < pair[1]), "{counts:?}");
    assert!(counts.len() <= 6, "{counts:?}");
}

#[test]
fn a_process_that_stands_still_loses_its_lease_and_its_answers_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut publisher = Program::start(folder.path());
    let mut first = Program::start(folder.path());
    first.run("subscribe jobs workers hold 1000");
    publisher.run("publish jobs * 0 20");
    first.wait_for_got(20);
    signal(&first, "STOP");
    let mut second = Program::start(folder.path());
    second.run("subscribe jobs workers ack");
    second.wait_for_got(20);
    signal(&first, "CONT");
    let answer = first.run("ack");
    assert!(answer.starts_with("0 acknowledged, Conflict"), "{answer}");
    // It is a member again: it gets its share of what comes.
    let mut published = 20;
    while first.got().len() < 25 {
        publisher.run(&format!("publish jobs * {published} {}", published + 20));
        published += 20;
        assert!(published < 4000, "it never gets anything again");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn signal(program: &Program, name: &str) {
    let sent = Command::new("kill").arg(format!("-{name}")).arg(program.id().to_string()).status().unwrap();
    assert!(sent.success());
}
