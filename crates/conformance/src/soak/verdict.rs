//! What must hold, judged by the books of all programs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::book::{Entry, Id};
use super::{IN_FLIGHT, KEYS};
use crate::Failed;
use crate::failed::ensure;

/// The book of one program, from its start to its end.
#[derive(Debug, Default)]
pub(super) struct Life {
    /// Of the program, for texts.
    pub(super) name: String,
    /// When it was killed; `None` if it ended by itself.
    pub(super) killed: Option<Duration>,
    pub(super) entries: Vec<Entry>,
}

/// What a round came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) published: u64,
    pub(super) confirmed: u64,
    /// Deliveries beyond the first of a message that nobody asked for.
    pub(super) duplicates: u64,
    /// Deliveries that were asked for by a retry.
    pub(super) retries: u64,
    /// The most that one member had in hand.
    pub(super) in_hand: usize,
}

impl Tally {
    pub(super) fn add(&mut self, other: Self) {
        self.published += other.published;
        self.confirmed += other.confirmed;
        self.duplicates += other.duplicates;
        self.retries += other.retries;
        self.in_hand = self.in_hand.max(other.in_hand);
    }
}

/// What became of a message, by time.
#[derive(Debug, Default)]
struct Story {
    /// Time, and the life in which it was.
    got: Vec<(Duration, usize)>,
    /// The broker said so once, be it that the one who had it before died without a word.
    again: bool,
    retried: Vec<Duration>,
    /// When somebody heard that his acknowledgement does not count.
    refused: Vec<Duration>,
    done: Option<Duration>,
}

/// Messages with a receipt that nobody has handled: their acknowledgement is not confirmed, and neither was whoever was about
/// to give it killed, nor the server before it answered with an error; these may have been told.
pub(super) fn unfinished(lives: &[Life], server: &[Duration]) -> BTreeSet<Id> {
    let mut open = BTreeSet::new();
    let entries = || lives.iter().flat_map(|life| &life.entries);
    open.extend(entries().filter_map(|entry| if let Entry::Receipt(id) = entry { Some(*id) } else { None }));
    for life in lives {
        for entry in &life.entries {
            match entry {
                Entry::Done(_, id) => _ = open.remove(id),
                // He was killed before he could note whether it was confirmed.
                Entry::Ack(_, id) if life.killed.is_some() => _ = open.remove(id),
                Entry::Unsure(time, id) if server.iter().any(|killed| killed < time) => _ = open.remove(id),
                _ => {}
            }
        }
    }
    open
}

/// Judges a round that is over; `server` are the times at which the server was killed. Where the members did not ask for
/// strict order, what the broker says it hands out again may come later than others of its key.
pub(super) fn judge(lives: &[Life], server: &[Duration], ordered: bool) -> Result<Tally, Failed> {
    let mut tally = Tally::default();
    let mut stories: BTreeMap<Id, Story> = BTreeMap::new();
    let mut tried = BTreeSet::new();
    for (place, life) in lives.iter().enumerate() {
        let mut hand = BTreeSet::new();
        for entry in &life.entries {
            match entry {
                Entry::Try(id) => _ = tried.insert(*id),
                Entry::Receipt(_) => tally.confirmed += 1,
                Entry::Got(time, id) | Entry::GotAgain(time, id) => {
                    let story = stories.entry(*id).or_default();
                    story.got.push((*time, place));
                    story.again |= matches!(entry, Entry::GotAgain(..));
                    hand.insert(*id);
                    tally.in_hand = tally.in_hand.max(hand.len());
                }
                Entry::Retry(time, id) => {
                    stories.entry(*id).or_default().retried.push(*time);
                    hand.remove(id);
                }
                Entry::Done(time, id) => {
                    stories.entry(*id).or_default().done.get_or_insert(*time);
                    hand.remove(id);
                }
                Entry::Ack(..) => {}
                // Answered, and by that no longer out: it went to another one, or is settled.
                Entry::Unsure(time, id) => {
                    stories.entry(*id).or_default().refused.push(*time);
                    hand.remove(id);
                }
                Entry::Strange(what) => return Err(Failed::new(format!("{}: {what}", life.name))),
            }
        }
    }
    tally.published = tried.len() as u64;
    ensure!(tally.in_hand <= IN_FLIGHT, "{} were in one member's hands, more than {IN_FLIGHT}", tally.in_hand);
    let lost = unfinished(lives, server);
    ensure!(lost.is_empty(), "{} with a receipt were not handled, the first is {}", lost.len(), told(lost.first()));
    for (id, story) in &mut stories {
        ensure!(tried.contains(id), "{} came and was never published", told(Some(id)));
        story.got.sort_unstable();
        came_for_a_reason(id, story, lives, server, &mut tally)?;
    }
    in_order(&stories, ordered)?;
    Ok(tally)
}

/// Nothing comes again once it is done, and before that only after a retry, a kill, or an acknowledgement of which its giver
/// heard that it does not count.
fn came_for_a_reason(
    id: &Id,
    story: &Story,
    lives: &[Life],
    server: &[Duration],
    tally: &mut Tally,
) -> Result<(), Failed> {
    for pair in story.got.windows(2) {
        let [(before, holder), (time, by)] = *pair else { continue };
        let (holder, by) = (&lives[holder], &lives[by]);
        if let Some(done) = story.done {
            ensure!(
                time <= done,
                "{} came to {} {:?} after its acknowledgement was confirmed",
                told(Some(id)),
                by.name,
                time.saturating_sub(done)
            );
        }
        let meanwhile = |times: &[Duration]| times.iter().any(|at| (before..time).contains(at));
        if meanwhile(&story.retried) {
            tally.retries += 1;
            continue;
        }
        ensure!(
            holder.killed.is_some_and(|at| at < time) || meanwhile(server) || meanwhile(&story.refused),
            "{} came to {} {:?} after {} got it, who lives and did not ask for it",
            told(Some(id)),
            by.name,
            time.saturating_sub(before),
            holder.name
        );
        tally.duplicates += 1;
    }
    Ok(())
}

/// Each message of a key comes for the first time after those before it.
fn in_order(stories: &BTreeMap<Id, Story>, ordered: bool) -> Result<(), Failed> {
    let mut latest: BTreeMap<(usize, u64), (Duration, u64)> = BTreeMap::new();
    for (id, story) in stories.iter().filter(|(_, story)| ordered || !story.again) {
        let Some((first, _)) = story.got.first() else { continue };
        let key = (id.publisher, id.number % KEYS);
        if let Some((time, number)) = latest.insert(key, (*first, id.number)) {
            ensure!(
                time <= *first,
                "{} came {:?} before {number} of the same key",
                told(Some(id)),
                time.saturating_sub(*first)
            );
        }
    }
    Ok(())
}

fn told(id: Option<&Id>) -> String {
    id.map_or_else(|| "none".to_owned(), |id| format!("message {} of publisher {}", id.number, id.publisher))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64) -> Id {
        Id { publisher: 0, number }
    }

    fn at(time: u64) -> Duration {
        Duration::from_millis(time)
    }

    fn got(time: u64, number: u64) -> Entry {
        Entry::Got(at(time), id(number))
    }

    fn done(time: u64, number: u64) -> Entry {
        Entry::Done(at(time), id(number))
    }

    fn life(killed: Option<u64>, entries: Vec<Entry>) -> Life {
        Life { name: "a member".to_owned(), killed: killed.map(at), entries }
    }

    /// Publishes 0 to 20, each with a receipt.
    fn publisher() -> Life {
        life(None, (0..20).flat_map(|number| [Entry::Try(id(number)), Entry::Receipt(id(number))]).collect())
    }

    /// Handles these in their order.
    fn handled(numbers: impl IntoIterator<Item = u64>) -> Vec<Entry> {
        numbers.into_iter().flat_map(|number| [got(10 * number, number), done(10 * number + 5, number)]).collect()
    }

    #[track_caller]
    fn fails(lives: &[Life], text: &str) {
        let failed = judge(lives, &[], true).unwrap_err().to_string();
        assert!(failed.contains(text), "{failed}");
    }

    #[test]
    fn a_round_without_a_fault_holds() {
        let tally = judge(&[publisher(), life(None, handled(0..20))], &[], true).unwrap();
        assert_eq!(tally, Tally { published: 20, confirmed: 20, duplicates: 0, retries: 0, in_hand: 1 });
    }

    #[test]
    fn what_was_never_handled_is_lost() {
        let lives = [publisher(), life(None, handled((0..20).filter(|number| *number != 7)))];
        assert_eq!(unfinished(&lives, &[]), BTreeSet::from([id(7)]));
        fails(&lives, "1 with a receipt were not handled, the first is message 7 of publisher 0");
    }

    #[test]
    fn what_only_came_and_was_not_acknowledged_is_lost() {
        let mut entries = handled(0..19);
        entries.push(got(200, 19));
        fails(&[publisher(), life(None, entries)], "1 with a receipt were not handled");
    }

    #[test]
    fn what_was_to_be_acknowledged_by_one_who_was_killed_may_be_done() {
        let first = |killed| life(killed, vec![got(200, 19), Entry::Ack(at(201), id(19))]);
        let second = || life(None, handled(0..19));
        assert!(judge(&[publisher(), first(Some(202)), second()], &[], true).is_ok());
        fails(&[publisher(), first(None), second()], "1 with a receipt were not handled");
    }

    #[test]
    fn an_answer_that_a_killed_server_did_not_confirm_may_have_reached_it() {
        let lives = || {
            let unsure = vec![got(200, 19), Entry::Ack(at(201), id(19)), Entry::Unsure(at(210), id(19))];
            [publisher(), life(None, [handled(0..19), unsure].concat())]
        };
        assert!(judge(&lives(), &[at(205)], true).is_ok());
        assert!(judge(&lives(), &[at(215)], true).is_err());
        fails(&lives(), "1 with a receipt were not handled");
    }

    #[test]
    fn what_had_no_receipt_may_come_or_not() {
        let mut tried = publisher();
        tried.entries.extend([Entry::Try(id(20)), Entry::Try(id(21))]);
        assert_eq!(judge(&[tried, life(None, handled(0..21))], &[], true).unwrap().published, 22);
    }

    #[test]
    fn what_is_done_never_comes_again_even_after_a_kill() {
        let second = life(None, [handled(5..20), vec![got(300, 3), done(301, 3)]].concat());
        let first = life(Some(60), [handled(0..5), vec![]].concat());
        fails(&[publisher(), first, life(None, [second.entries, vec![]].concat())], "after its acknowledgement");
    }

    #[test]
    fn what_a_killed_member_had_comes_again() {
        let first = life(Some(60), [handled(0..5), vec![got(55, 5)]].concat());
        let second = life(None, [vec![got(70, 5), done(71, 5)], handled(8..20), handled(6..8)].concat());
        assert_eq!(judge(&[publisher(), first, second], &[], true).unwrap().duplicates, 1);
    }

    #[test]
    fn what_a_living_member_has_goes_to_nobody_else() {
        let first = life(None, [handled(0..5), vec![got(50, 5)]].concat());
        let second = life(None, [vec![got(70, 5), done(71, 5)], handled(6..20)].concat());
        fails(&[publisher(), first, second], "who lives and did not ask for it");
    }

    #[test]
    fn what_was_acknowledged_too_late_comes_again_to_another() {
        let late = |answer: Option<Entry>| {
            let first = life(None, [handled(0..5), vec![got(50, 5)], answer.into_iter().collect()].concat());
            [publisher(), first, life(None, [vec![got(70, 5), done(71, 5)], handled(6..20)].concat())]
        };
        assert_eq!(judge(&late(Some(Entry::Unsure(at(60), id(5)))), &[], false).unwrap().duplicates, 1);
        fails(&late(None), "who lives and did not ask for it");
    }

    #[test]
    fn what_a_server_had_told_before_it_was_killed_may_come_again() {
        let member = life(None, [handled(0..5), vec![got(50, 5), got(70, 5), done(71, 5)], handled(6..20)].concat());
        assert_eq!(judge(&[publisher(), member], &[at(60)], true).unwrap().duplicates, 1);
    }

    #[test]
    fn a_retry_is_a_reason() {
        let retried = vec![got(50, 5), Entry::Retry(at(51), id(5)), got(70, 5), done(71, 5)];
        let member = life(None, [handled(0..5), retried, handled(6..20)].concat());
        let tally = judge(&[publisher(), member], &[], true).unwrap();
        assert_eq!((tally.retries, tally.duplicates), (1, 0));
    }

    #[test]
    fn a_key_out_of_order_is_told() {
        // 3 and 11 have one key.
        let entries = [handled((0..20).filter(|n| *n != 3)), vec![got(115, 3), done(116, 3)]].concat();
        fails(&[publisher(), life(None, entries)], "message 11 of publisher 0 came 5ms before 3 of the same key");
    }

    #[test]
    fn what_comes_again_may_come_late_but_not_in_strict_order() {
        let late = vec![Entry::GotAgain(at(115), id(3)), done(116, 3)];
        let lives = [publisher(), life(None, [handled((0..20).filter(|n| *n != 3)), late].concat())];
        assert!(judge(&lives, &[], false).is_ok());
        assert!(judge(&lives, &[], true).is_err());
    }

    #[test]
    fn another_key_may_pass() {
        let entries = [handled((0..20).filter(|n| *n != 3)), vec![got(105, 3), done(106, 3)]].concat();
        assert!(judge(&[publisher(), life(None, entries)], &[], true).is_ok());
    }

    #[test]
    fn what_nobody_published_and_what_is_not_as_it_was_is_told() {
        fails(&[publisher(), life(None, handled(0..21))], "message 20 of publisher 0 came and was never published");
        let strange = life(None, vec![Entry::Strange("half a message".to_owned())]);
        fails(&[publisher(), strange], "half a message");
    }

    #[test]
    fn what_was_answered_is_in_nobody_s_hands_though_the_answer_was_refused() {
        let count = IN_FLIGHT as u64 + 1;
        let published = life(None, (0..count).map(|number| Entry::Try(id(number))).collect());
        let answered = |number| [got(number, number), Entry::Unsure(at(number), id(number))];
        assert!(judge(&[published, life(None, (0..count).flat_map(answered).collect())], &[], true).is_ok());
    }

    #[test]
    fn more_in_hand_than_asked_for_is_told() {
        let count = IN_FLIGHT as u64 + 1;
        let published = life(None, (0..count).map(|number| Entry::Try(id(number))).collect());
        let member = life(None, (0..count).map(|number| got(number, number)).collect());
        fails(&[published, member], "65 were in one member's hands");
    }
}
