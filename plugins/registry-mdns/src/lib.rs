//! The mDNS registry, in go-micro's record format.
