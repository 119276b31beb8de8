/// What a broker can do. Off means: asking for it is refused with `Unsupported`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capability {
    /// Messages survive a restart of everything.
    pub persistent: bool,
    /// Members of a queue share it.
    pub queues: bool,
    /// A queue gets what was published while it was away.
    pub backlog: bool,
    /// Order within a key holds across the members of a queue.
    pub keys: bool,
    /// A subscription may start at earliest, an offset or a time.
    pub replay: bool,
    /// A live subscription may seek.
    pub seek: bool,
    /// A live subscription may pause and resume.
    pub pause: bool,
    /// `Retry` comes again after its pause by the server's doing, also to another member.
    pub retry: bool,
    /// The failure count given with a settlement comes back with the next delivery.
    pub attempts: bool,
    /// What is not answered within its lease comes again, while its member lives: to another where its own takes nothing.
    /// Off: a member holds what it has for as long as it lives, and the lease is how long it may be silent as a whole.
    pub lease: bool,
    /// The server counts deliveries.
    pub deliveries: bool,
    /// `Reject` goes to the server's own dead-letter place.
    pub dead_letter: bool,
    /// A message may be published to appear later.
    pub delay: bool,
    /// A message may expire.
    pub ttl: bool,
    /// A message may name its partition.
    pub partition: bool,
    /// The server drops a message whose id it has seen within its window.
    pub deduplication: bool,
    /// A subscription may name a pattern of topics.
    pub wildcard: bool,
    /// Publishing and settling may be one [`Transaction`](super::Transaction).
    pub transactions: bool,
    /// A message may be a request, and get a reply.
    pub reply: bool,
    /// A delivery says when it was published.
    pub publish_time: bool,
    /// Headers arrive with the case they were sent with.
    pub header_case: bool,
    /// The largest body in bytes, where the server has such a limit.
    pub max_body: Option<usize>,
}
