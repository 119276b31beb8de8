//! Moving to another position.

use std::sync::Arc;

use micro_core::Result;
use micro_core::broker::Start;
use rdkafka::consumer::Consumer as _;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::assignment::starts;
use crate::checkpoint::Checkpoint;
use crate::context::Consumer;
use crate::error::convert;
use crate::member::Member;
use crate::share::Source;
use crate::topics::ASK;
use crate::window::Window;

/// Moves the partitions that the member holds. What is out of them may still be settled, without an effect.
pub(crate) fn seek(member: &Arc<Member>, consumer: &Arc<Consumer>, start: Start) -> Result<()> {
    let held: Vec<(u64, i32)> = {
        let state = member.lock();
        let main = state.shares.iter().filter(|(_, share)| share.source == Source::Main && share.draining.is_none());
        main.map(|(number, share)| (*number, share.partition)).collect()
    };
    // A position is of one partition: the others stay where they are.
    let held: Vec<(u64, i32)> = match start {
        Start::At(micro_core::broker::Position::Offset { partition, .. }) => {
            held.into_iter().filter(|(_, held)| i64::from(*held) == i64::from(partition)).collect()
        }
        _ => held,
    };
    let partitions: Vec<i32> = held.iter().map(|(_, partition)| *partition).collect();
    let offsets = starts(member, consumer, &member.topic, &partitions, start, Start::Latest)?;
    let mut list = TopicPartitionList::new();
    for (partition, offset) in partitions.iter().zip(&offsets) {
        list.add_partition_offset(member.topic.as_str(), *partition, offset.map_or(Offset::Beginning, Offset::Offset))
            .map_err(|error| convert("cannot seek", &error))?;
    }
    let set = |moving: bool| {
        let _held = member.hold();
        let mut state = member.lock();
        for (number, _) in &held {
            if let Some(share) = state.shares.get_mut(number) {
                share.moving = moving;
            }
        }
    };
    set(true);
    let moved = consumer
        .seek_partitions(list, ASK)
        .and_then(|list| list.elements().iter().try_for_each(|element| element.error()).map(drop));
    if let Err(error) = moved {
        set(false);
        return Err(convert("cannot seek", &error));
    }
    let held_back = member.hold();
    let mut state = member.lock();
    for ((number, _), offset) in held.iter().zip(offsets) {
        // A new number: what is out of the old window is settled without an effect.
        if let Some(mut share) = state.shares.remove(number) {
            share.window = Window::new(offset, Checkpoint::default());
            share.moving = false;
            share.out_of_range = false;
            share.dirty = member.queue.is_some() && offset.is_some();
            member.detach(&mut state, *number);
            member.add_share(&mut state, share);
        }
    }
    member.commit(&mut state);
    drop(state);
    drop(held_back);
    member.arrived.notify_one();
    Ok(())
}
