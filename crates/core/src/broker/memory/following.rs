//! A subscription to all topics of a pattern: a member in each of them, and one limit over all.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::client::Client;
use super::group::Member;
use super::subscription::{Place, Seat};
use super::topic::Shared;
use crate::broker::{Delivery, Pattern, Queue, Start, SubscribeOptions, Subscription, Topic};
use crate::{Error, Kind, Result};

/// What a pattern is followed by. The world tells it of each new topic before anything is published there.
#[derive(Debug)]
pub(super) struct Following {
    pub(super) client: Arc<Client>,
    pub(super) pattern: Pattern,
    options: SubscribeOptions,
    notify: Arc<Notify>,
    state: Mutex<Followed>,
}

#[derive(Debug, Default)]
struct Followed {
    places: Vec<Arc<Place>>,
    paused: bool,
    ended: bool,
}

impl Following {
    pub(super) fn new(client: Arc<Client>, pattern: Pattern, options: SubscribeOptions) -> Arc<Self> {
        let (notify, state) = (Arc::default(), Mutex::default());
        Arc::new(Self { client, pattern, options, notify, state })
    }

    fn lock(&self) -> MutexGuard<'_, Followed> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Joins a topic if it is meant.
    pub(super) fn join(&self, topic: &Arc<Shared>) -> Result<()> {
        if !self.pattern.matches(&topic.name) {
            return Ok(());
        }
        let mut state = self.lock();
        if state.ended {
            return Ok(());
        }
        let SubscribeOptions { queue, start, in_flight, lease, ordered } = &self.options;
        let member = self.client.world.next_member();
        let new = Member::new(*in_flight, self.client.lease(*lease), *ordered, Arc::clone(&self.notify));
        let group = {
            let mut topic = topic.lock();
            let group = topic.join(queue.as_ref(), *start, member, new, Instant::now())?;
            if let (true, Some(joined)) = (state.paused, topic.group(group)) {
                joined.pause(member, true);
            }
            group
        };
        self.client.joined(member, Arc::clone(topic), group);
        let seat = Seat { client: Arc::clone(&self.client), topic: Arc::clone(topic), group, member };
        state.places.push(Arc::new(Place::new(seat, queue.clone())));
        self.notify.notify_one();
        Ok(())
    }

    /// Follows no more, and wakes who waits. Returns where it was, the first time.
    pub(super) fn end(&self) -> Vec<Arc<Place>> {
        let mut state = self.lock();
        state.ended = true;
        self.notify.notify_one();
        std::mem::take(&mut state.places)
    }

    /// Returns the places it has now, or `None` after its end.
    fn places(&self) -> Option<Vec<Arc<Place>>> {
        let state = self.lock();
        (!state.ended).then(|| state.places.clone())
    }
}

/// The pulling side.
pub(super) struct PatternSubscription {
    following: Arc<Following>,
    /// With which place the next pull begins, so that a busy topic does not keep the others from their turn.
    turn: usize,
}

/// Says in all topics that the member waits no more, so that wake-ups it will not use go to others.
struct Waiting<'a>(&'a [Arc<Place>]);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        for Place { seat, .. } in self.0.iter().map(|place| &**place) {
            if let Some(group) = seat.topic.lock().group(seat.group) {
                group.give_up(seat.member);
            }
        }
    }
}

impl PatternSubscription {
    /// Begins to follow.
    pub(super) fn begin(following: Arc<Following>) -> Result<Self> {
        // From here on, dropping it leaves again.
        let this = Self { following, turn: 0 };
        this.following.client.world.follow(&this.following)?;
        Ok(this)
    }

    /// Takes what is there in all topics, or notes in each of them that the member waits, with the time at which it must
    /// ask again.
    fn take(&mut self, places: &[Arc<Place>], max: usize, now: Instant) -> (Vec<Delivery>, Option<Instant>) {
        let mut due = None;
        let mut earlier = |at: Option<Instant>| due = [due, at].into_iter().flatten().min();
        let mut out = 0;
        for Place { seat, .. } in places.iter().map(|place| &**place) {
            if let Some((flying, at)) = seat.topic.lock().stand(seat.group, seat.member, now) {
                out += flying;
                earlier(at);
            }
        }
        let mut room = self.following.options.in_flight.max(1).saturating_sub(out).min(max);
        let mut deliveries = Vec::new();
        let first = self.turn % places.len().max(1);
        self.turn = self.turn.wrapping_add(1);
        for place in places[first..].iter().chain(&places[..first]) {
            if room == 0 {
                break;
            }
            let seat = &place.seat;
            let taken = seat.topic.lock().take(seat.group, seat.member, room, now);
            if let Some((taken, at)) = taken {
                room -= taken.len();
                earlier(at);
                deliveries.extend(taken.into_iter().map(|taken| place.delivery(taken)));
            }
        }
        (deliveries, due)
    }

    fn leave(&self) {
        let now = Instant::now();
        for Place { seat, .. } in self.following.end().iter().map(|place| &**place) {
            seat.topic.lock().leave(seat.group, seat.member, false, now);
            seat.client.left(seat.member);
        }
    }

    fn set_paused(&self, paused: bool) -> Result<()> {
        let client = &self.following.client;
        if !client.capability().pause {
            return Err(Error::unsupported("memory", "pausing a subscription"));
        }
        client.check_open()?;
        let mut state = self.following.lock();
        state.paused = paused;
        for Place { seat, .. } in state.places.iter().map(|place| &**place) {
            if let Some(group) = seat.topic.lock().group(seat.group) {
                group.pause(seat.member, paused);
            }
        }
        Ok(())
    }
}

/// Refuses a start that is of one topic only.
pub(super) fn check_start(start: Start) -> Result<()> {
    match start {
        Start::At(_) => Err(Error::new(
            Kind::InvalidArgument,
            "a position is of one topic, and a pattern means many; begin at the earliest, the latest or a time",
        )),
        _ => Ok(()),
    }
}

#[async_trait]
impl Subscription for PatternSubscription {
    fn topic(&self) -> Option<&Topic> {
        None
    }

    fn queue(&self) -> Option<&Queue> {
        self.following.options.queue.as_ref()
    }

    async fn next(&mut self, max: usize) -> Result<Option<Vec<Delivery>>> {
        let following = Arc::clone(&self.following);
        let had_its_turn = |Place { seat, .. }: &Place| {
            seat.topic.lock().group(seat.group).is_some_and(|group| group.had_its_turn(seat.member))
        };
        if following.places().is_some_and(|places| places.iter().any(|place| had_its_turn(place))) {
            // A member that never waits would leave nothing to one that shares its thread.
            tokio::task::yield_now().await;
        }
        loop {
            let Some(places) = following.places().filter(|_| following.client.is_open()) else { return Ok(None) };
            let mut waiting = Waiting(&places);
            let (deliveries, due) = self.take(&places, max.max(1), Instant::now());
            if !deliveries.is_empty() {
                return Ok(Some(deliveries));
            }
            match due {
                None => following.notify.notified().await,
                Some(due) => tokio::select! {
                    () = following.notify.notified() => {}
                    () = tokio::time::sleep_until(due) => {}
                },
            }
            waiting.0 = &[];
        }
    }

    async fn stop(&mut self) {
        self.leave();
    }

    async fn unsubscribe(self: Box<Self>) -> Result<()> {
        self.leave();
        Ok(())
    }

    async fn pause(&mut self) -> Result<()> {
        self.set_paused(true)
    }

    async fn resume(&mut self) -> Result<()> {
        self.set_paused(false)
    }

    async fn seek(&mut self, start: Start) -> Result<()> {
        let client = &self.following.client;
        if !client.capability().seek {
            return Err(Error::unsupported("memory", "seeking"));
        }
        check_start(start)?;
        client.check_open()?;
        for Place { seat, .. } in self.following.places().iter().flatten().map(|place| &**place) {
            seat.topic.lock().seek(seat.group, start, Instant::now())?;
        }
        Ok(())
    }
}

impl Drop for PatternSubscription {
    fn drop(&mut self) {
        self.leave();
    }
}

impl fmt::Debug for PatternSubscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("pattern", &self.following.pattern)
            .field("queue", &self.following.options.queue)
            .field("ended", &self.following.lock().ended)
            .finish()
    }
}
