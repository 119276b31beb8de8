use std::collections::{HashMap, VecDeque};

use bytes::Bytes;

/// What goes through lanes.
pub(crate) trait Keyed {
    /// Returns the key; what has none is in no lane.
    fn key(&self) -> Option<&Bytes>;
}

/// Work in the order of arrival, but never two of one key at once.
///
/// A key has a lane from when its first work is ready until its last is [`finished`](Self::finish). Only the first work of
/// a lane is ready or taken; the rest queues in the lane. So a slow key holds up nobody else, however many there are.
#[derive(Debug)]
pub(crate) struct Lanes<W> {
    ready: VecDeque<W>,
    lanes: HashMap<Bytes, VecDeque<W>>,
}

impl<W: Keyed> Lanes<W> {
    pub(crate) fn new() -> Self {
        Self { ready: VecDeque::new(), lanes: HashMap::new() }
    }

    /// Adds work behind what is there of its keys.
    pub(crate) fn extend(&mut self, works: impl ExactSizeIterator<Item = W>) {
        self.ready.reserve(works.len());
        for work in works {
            self.push(work);
        }
    }

    /// Adds work behind what is there of its key.
    #[inline]
    pub(crate) fn push(&mut self, work: W) {
        if let Some(key) = work.key() {
            if let Some(lane) = self.lanes.get_mut(key) {
                lane.push_back(work);
                return;
            }
            self.lanes.insert(key.clone(), VecDeque::new());
        }
        self.ready.push_back(work);
    }

    /// Puts back work whose lane is still held, before everything else of its key.
    pub(crate) fn resume(&mut self, work: W) {
        self.ready.push_front(work);
    }

    /// Puts back work into its held lane, behind what was taken or resumed and before the rest.
    pub(crate) fn put_back(&mut self, work: W) {
        match work.key().and_then(|key| self.lanes.get_mut(key)) {
            Some(lane) => lane.push_front(work),
            None => self.push(work),
        }
    }

    /// Takes the next work; its lane is held until [`finish`](Self::finish).
    pub(crate) fn take(&mut self) -> Option<W> {
        self.ready.pop_front()
    }

    /// Takes as much as is ready, at most so much; the lanes are held until each is [finished](Self::finish).
    pub(crate) fn take_many(&mut self, most: usize) -> impl Iterator<Item = W> {
        self.ready.drain(..most.min(self.ready.len()))
    }

    /// Takes work of a lane that is held by the caller.
    pub(crate) fn take_behind(&mut self, key: &Bytes) -> Option<W> {
        self.lanes.get_mut(key)?.pop_front()
    }

    /// Lets go of a lane: its next work becomes ready.
    pub(crate) fn finish(&mut self, key: &Bytes) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        match lane.pop_front() {
            Some(next) => self.ready.push_back(next),
            None => {
                self.lanes.remove(key);
            }
        }
    }

    /// Tells whether something can be taken.
    pub(crate) fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Returns what was not taken.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &W> {
        self.ready.iter().chain(self.lanes.values().flatten())
    }

    /// Takes out everything that was not taken, each key in its order.
    pub(crate) fn drain(&mut self) -> Vec<W> {
        let mut all: Vec<W> = self.ready.drain(..).collect();
        all.extend(self.lanes.drain().flat_map(|(_, lane)| lane));
        all
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    struct Job {
        key: Option<Bytes>,
        number: usize,
    }

    impl Keyed for Job {
        fn key(&self) -> Option<&Bytes> {
            self.key.as_ref()
        }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Push(Option<u8>),
        Take,
        TakeBehind(usize),
        Finish(usize),
        /// Failed, and tried again in its place.
        Resume(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => prop::option::weighted(0.8, 0..4u8).prop_map(Step::Push),
            3 => Just(Step::Take),
            1 => (0..8usize).prop_map(Step::TakeBehind),
            3 => (0..8usize).prop_map(Step::Finish),
            1 => (0..8usize).prop_map(Step::Resume),
        ];
        prop::collection::vec(step, 0..200)
    }

    proptest! {
        #[test]
        fn one_key_is_never_at_two_places_and_keeps_its_order_and_nothing_is_lost(steps in steps()) {
            let mut lanes = Lanes::new();
            let mut pushed = 0;
            let mut taken: Vec<Vec<Job>> = Vec::new();
            let mut done: Vec<Job> = Vec::new();
            for step in steps {
                match step {
                    Step::Push(key) => {
                        lanes.push(Job { key: key.map(|key| Bytes::copy_from_slice(&[key])), number: pushed });
                        pushed += 1;
                    }
                    Step::Take => taken.extend(lanes.take().map(|job| vec![job])),
                    Step::TakeBehind(place) => {
                        if let Some(jobs) = taken.get_mut(place)
                            && let Some(key) = jobs[0].key.clone()
                        {
                            jobs.extend(lanes.take_behind(&key));
                        }
                    }
                    Step::Finish(place) => {
                        if place < taken.len() {
                            let jobs = taken.remove(place);
                            if let Some(key) = &jobs[0].key {
                                lanes.finish(key);
                            }
                            done.extend(jobs);
                        }
                    }
                    Step::Resume(place) => {
                        if place < taken.len() && taken[place].len() == 1 {
                            lanes.resume(taken.remove(place).remove(0));
                        }
                    }
                }
                let held: Vec<_> = taken.iter().filter_map(|jobs| jobs[0].key.clone()).collect();
                prop_assert_eq!(held.len(), held.iter().collect::<HashSet<_>>().len(), "a key is taken twice");
                if !lanes.is_ready() && taken.is_empty() {
                    prop_assert_eq!(done.len(), pushed, "work waits that nobody can take");
                    prop_assert!(lanes.lanes.is_empty(), "a lane without work is kept");
                }
            }
            for key in 0..4u8 {
                let numbers: Vec<_> =
                    done.iter().filter(|job| job.key.as_deref() == Some(&[key])).map(|job| job.number).collect();
                prop_assert!(numbers.is_sorted(), "key {} out of order: {:?}", key, numbers);
            }
            let left = lanes.drain().len();
            prop_assert_eq!(done.len() + taken.iter().map(Vec::len).sum::<usize>() + left, pushed);
        }
    }

    #[test]
    fn other_keys_go_on_while_one_is_held() {
        let mut lanes = Lanes::new();
        for (number, key) in ["a", "a", "b", "a", "c"].into_iter().enumerate() {
            lanes.push(Job { key: Some(Bytes::from(key)), number });
        }
        let order: Vec<_> = std::iter::from_fn(|| lanes.take()).map(|job| job.number).collect();
        assert_eq!(order, [0, 2, 4]);
        lanes.finish(&Bytes::from("a"));
        assert_eq!(lanes.take().unwrap().number, 1);
    }
}
