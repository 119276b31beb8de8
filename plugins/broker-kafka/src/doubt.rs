//! A member that was given nothing, as everybody else.
//!
//! The leader of a group shares out what it knows of the topic. If the server that it asked had not heard yet of a new
//! topic, it shares out nothing, and librdkafka takes that for what there is until somebody joins or leaves: the queue would
//! stand still for ever. So whoever got nothing looks at what the others have, and joins anew if that is nothing either.
//! Where somebody has something, what nobody has is on its way: its last owner finishes what it has in hand.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaError;

use crate::context::Consumer;

/// How long the servers may take to say who has what. Nothing else of the subscription goes on meanwhile.
const ASK: Duration = Duration::from_secs(2);

/// Pauses between two looks.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));

/// What a group does with a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shared {
    /// It is shared out, or will be when those who give some away are done.
    Out,
    /// Nobody has any of it.
    Neglected,
    /// It is being shared out just now.
    Moving,
    /// The server that was asked has not heard of the topic.
    Unknown,
}

/// When to look, and how often it was in vain.
#[derive(Debug)]
pub(crate) struct Doubt {
    at: Instant,
    looks: u32,
}

impl Doubt {
    pub(crate) fn new() -> Self {
        Self { at: Instant::now(), looks: 0 }
    }

    pub(crate) fn is_due(&self) -> bool {
        self.at <= Instant::now()
    }

    /// Waits for the next look; longer each time.
    pub(crate) fn again(&mut self) {
        self.at = Instant::now() + PAUSE.0.saturating_mul(1 << self.looks.min(9)).min(PAUSE.1);
        self.looks = self.looks.saturating_add(1);
    }
}

/// Asks what the members of a group have of a topic, which has partitions.
pub(crate) fn ask(consumer: &Consumer, group: &str, topic: &str) -> Result<Shared, KafkaError> {
    let list = consumer.fetch_group_list(Some(group), ASK)?;
    let Some(group) = list.groups().iter().find(|found| found.name() == group) else { return Ok(Shared::Moving) };
    if group.state() != "Stable" {
        return Ok(Shared::Moving);
    }
    let mut owned = BTreeSet::new();
    for member in group.members() {
        if let Some(assignment) = member.assignment() {
            read(assignment, topic, &mut owned);
        }
    }
    Ok(if owned.is_empty() { Shared::Neglected } else { Shared::Out })
}

/// Takes the partitions of a topic out of an assignment as every client of Kafka writes it: version, then topics, each with
/// its partitions. What is cut off there is not read.
fn read(mut bytes: &[u8], topic: &str, owned: &mut BTreeSet<i32>) -> Option<()> {
    take::<2>(&mut bytes)?;
    for _ in 0..i32::from_be_bytes(take(&mut bytes)?) {
        let length = usize::try_from(i16::from_be_bytes(take(&mut bytes)?)).ok()?;
        let (name, rest) = bytes.split_at_checked(length)?;
        bytes = rest;
        for _ in 0..i32::from_be_bytes(take(&mut bytes)?) {
            let partition = i32::from_be_bytes(take(&mut bytes)?);
            if name == topic.as_bytes() {
                owned.insert(partition);
            }
        }
    }
    Some(())
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_partitions_of_the_topic_are_read_and_no_others() {
        let mut assignment = vec![0, 1, 0, 0, 0, 2];
        for (name, partitions) in [("other", [7, 8]), ("t", [2, 0])] {
            assignment.extend((name.len() as i16).to_be_bytes());
            assignment.extend(name.as_bytes());
            assignment.extend(2_i32.to_be_bytes());
            assignment.extend(partitions.iter().flat_map(|partition: &i32| partition.to_be_bytes()));
        }
        let read_to = |end: usize| {
            let mut owned = BTreeSet::new();
            read(&assignment[..end], "t", &mut owned);
            owned
        };
        assert_eq!(read_to(assignment.len()), BTreeSet::from([0, 2]));
        for end in 0..assignment.len() {
            assert!(read_to(end).is_subset(&BTreeSet::from([0, 2])), "cut at {end}");
        }
    }
}
