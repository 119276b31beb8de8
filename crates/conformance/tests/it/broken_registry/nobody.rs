//! A client of an address where nobody is, that tells its password.

use std::any::Any;
use std::fmt;
use std::time::Duration;

use micro_core::registry::{Registry, Service, Watch};
use micro_core::{Error, Kind, Result};

use super::registry::Wrong;

pub(crate) struct Nobody(pub(crate) Wrong);

impl Nobody {
    fn password(&self, wrong: Wrong) -> &'static str {
        if self.0 == wrong { "secret" } else { "***" }
    }

    fn fail<T>(&self) -> Result<T> {
        let address = format!("broken://user:{}@127.0.0.1:1", self.password(Wrong::ErrorsShowThePassword));
        Err(Error::new(Kind::Unavailable, "nobody is there").with("address", address))
    }
}

impl fmt::Debug for Nobody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Nobody").field(&self.password(Wrong::DebugShowsThePassword)).finish()
    }
}

#[async_trait::async_trait]
impl Registry for Nobody {
    fn name(&self) -> &'static str {
        "nobody"
    }

    fn address(&self) -> String {
        format!("broken://user:{}@127.0.0.1:1", self.password(Wrong::AddressShowsThePassword))
    }

    async fn register(&self, _: &Service, _: Duration) -> Result<()> {
        self.fail()
    }

    async fn deregister(&self, _: &Service) -> Result<()> {
        self.fail()
    }

    async fn get(&self, _: &str) -> Result<Vec<Service>> {
        self.fail()
    }

    async fn list(&self) -> Result<Vec<String>> {
        if self.0 == Wrong::AnswersWhereNobodyIs { Ok(Vec::new()) } else { self.fail() }
    }

    async fn watch(&self, _: Option<&str>) -> Result<Box<dyn Watch>> {
        self.fail()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
