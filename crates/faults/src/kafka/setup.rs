/// What a cluster is like: one plain node, unless said otherwise.
#[derive(Debug, Clone)]
pub struct Setup {
    pub(super) nodes: usize,
    pub(super) secure: bool,
    pub(super) advertise: Vec<String>,
    pub(super) properties: Vec<(String, String)>,
}

impl Setup {
    /// Begins with one node that listens without TLS and login.
    #[must_use]
    pub fn new() -> Self {
        Self { nodes: 1, secure: false, advertise: Vec::new(), properties: Vec::new() }
    }

    /// Sets how many nodes there are. Topics have three replicas where there are nodes for it, unless one
    /// is created with another number.
    #[must_use]
    pub fn nodes(mut self, nodes: usize) -> Self {
        self.nodes = nodes;
        self
    }

    /// Adds listeners with TLS, with a login, and with both, and refuses what a user may not do.
    ///
    /// Logins: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, and OAUTHBEARER with unsigned tokens, whose `sub` is the user.
    #[must_use]
    pub fn secure(mut self) -> Self {
        self.secure = true;
        self
    }

    /// Tells clients of the plain listener to dial this address, that of a [`Proxy`](crate::Proxy) say. Called once for
    /// each node, in their order.
    #[must_use]
    pub fn advertise(mut self, address: impl Into<String>) -> Self {
        self.advertise.push(address.into());
        self
    }

    /// Sets a property of every node, over what this crate sets itself.
    #[must_use]
    pub fn property(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.properties.push((name.into(), value.into()));
        self
    }
}

impl Default for Setup {
    fn default() -> Self {
        Self::new()
    }
}
