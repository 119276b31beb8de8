use super::Endpoint;

/// Something that has endpoints: one of them, several, or a generated server round a handler.
pub trait Endpoints {
    /// Returns the endpoints.
    fn endpoints(self) -> Vec<Endpoint>;

    /// Returns the encoded `FileDescriptorSet` that reflection shows, where there is a .proto: its file and those it
    /// imports.
    fn descriptor(&self) -> Option<&'static [u8]> {
        None
    }
}

impl Endpoints for Endpoint {
    fn endpoints(self) -> Vec<Endpoint> {
        vec![self]
    }
}

impl Endpoints for Vec<Endpoint> {
    fn endpoints(self) -> Vec<Endpoint> {
        self
    }
}

impl<const N: usize> Endpoints for [Endpoint; N] {
    fn endpoints(self) -> Vec<Endpoint> {
        self.into()
    }
}
