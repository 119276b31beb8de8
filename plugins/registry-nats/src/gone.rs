use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

/// For how long it is remembered that a node is gone. go-micro's programs answer for it until they end.
const REMEMBERED: Duration = Duration::from_secs(600);
const MOST: usize = 10_000;

/// The nodes of which was told that they are gone.
#[derive(Debug, Default)]
pub(crate) struct Gone(HashMap<String, Went>);

#[derive(Debug)]
struct Went {
    version: String,
    at: Instant,
}

impl Gone {
    pub(crate) fn went(&mut self, key: String, version: &str, now: Instant) {
        if self.0.len() >= MOST {
            self.0.retain(|_, went| now.duration_since(went.at) < REMEMBERED);
        }
        if self.0.len() >= MOST {
            self.0.clear();
        }
        self.0.insert(key, Went { version: version.to_owned(), at: now });
    }

    pub(crate) fn came(&mut self, key: &str) {
        self.0.remove(key);
    }

    /// Tells whether an answer is old news. Who only tells, and does not forget, is not believed until it tells again.
    pub(crate) fn is_gone(&self, key: &str, version: &str, asked: Instant, only_tells: bool) -> bool {
        self.0.get(key).is_some_and(|went| {
            let lately = went.at >= asked || (only_tells && asked.duration_since(went.at) < REMEMBERED);
            went.version == version && lately
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_to_a_question_of_before_is_old_news() {
        let (mut gone, asked) = (Gone::default(), Instant::now());
        gone.went("s\0a".to_owned(), "1", asked + Duration::from_millis(1));
        assert!(gone.is_gone("s\0a", "1", asked, false));
        assert!(!gone.is_gone("s\0a", "2", asked, false), "it is another version");
        assert!(!gone.is_gone("s\0a", "1", asked + Duration::from_millis(2), false));
        assert!(gone.is_gone("s\0a", "1", asked + Duration::from_millis(2), true), "it never forgets");
        gone.came("s\0a");
        assert!(!gone.is_gone("s\0a", "1", asked, true));
    }

    #[test]
    fn no_more_is_remembered_than_a_limit() {
        let mut gone = Gone::default();
        for id in 0..=MOST {
            gone.went(id.to_string(), "1", Instant::now());
        }
        assert!(gone.0.len() <= MOST);
    }
}
