use std::collections::BTreeMap;

use metrics::Gauge;
use rdkafka::Statistics;

use crate::member::Member;
use crate::share::Source;

/// How far a queue is behind: `micro_kafka_lag{topic, queue, partition}`, messages that are published and not settled.
///
/// Each member tells it of the partitions that it holds, every five seconds. Markers of transactions count as messages.
pub(crate) struct Lag {
    queue: Option<String>,
    gauges: BTreeMap<(Source, i32), Gauge>,
}

impl Lag {
    pub(crate) fn new(member: &Member) -> Self {
        Self { queue: member.queue.as_ref().map(|queue| queue.as_str().to_owned()), gauges: BTreeMap::new() }
    }

    pub(crate) fn note(&mut self, member: &Member, statistics: &Statistics) {
        let Some(queue) = self.queue.clone() else { return };
        let state = member.lock();
        let mut held = Vec::new();
        for share in state.shares.values() {
            let topic = member.topic_of(share.source);
            let known = statistics.topics.get(topic).and_then(|topic| topic.partitions.get(&share.partition));
            let Some(end) = known.map(|known| known.ls_offset.max(known.hi_offset)).filter(|end| *end >= 0) else {
                continue;
            };
            let settled = share.window.watermark().unwrap_or_else(|| known.map_or(end, |known| known.lo_offset.max(0)));
            let place = (share.source, share.partition);
            held.push(place);
            let gauge = self.gauges.entry(place).or_insert_with(|| {
                let partition = share.partition.to_string();
                metrics::gauge!("micro_kafka_lag", "topic" => topic.to_owned(), "queue" => queue.clone(), "partition" => partition)
            });
            gauge.set(end.saturating_sub(settled).max(0) as f64);
        }
        drop(state);
        // Another member tells it from now on.
        self.gauges.retain(|place, gauge| {
            let keep = held.contains(place);
            if !keep {
                gauge.set(0.0);
            }
            keep
        });
    }

    /// Tells nothing any more.
    pub(crate) fn gone(&mut self) {
        for gauge in std::mem::take(&mut self.gauges).into_values() {
            gauge.set(0.0);
        }
    }
}
